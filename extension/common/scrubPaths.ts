/**
 * Replaces personal folders in a text by neutral names, so that it can be shared.
 *
 * @param folders folder to name, for example home directory to `~`; longer folders win over shorter ones
 */
export function scrubPaths(text: string, folders: ReadonlyMap<string, string>): string {
  const byLength = [...folders]
    .filter(([folder]) => folder.length > 1)
    .sort(([one], [other]) => other.length - one.length);
  return byLength.reduce((scrubbed, [folder, name]) => scrubbed.replaceAll(folder, name), text);
}
