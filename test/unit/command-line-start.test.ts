import path from 'node:path';
import { build, type Metafile } from 'esbuild';
import { beforeAll, describe, expect, it } from 'vitest';
import { engineTarget } from '../../scripts/build.mjs';
import { root } from '../../scripts/support/paths.mjs';
import { commandTable } from '../../engine/commandLine/commandTable';
import { createProgram } from '../../engine/commandLine/commands';

/** Packages of everything that a bundle loads before its first line runs: its own parts and those it imports statically. */
function loadedPackages({ outputs }: Metafile, starts: readonly string[]): string[] {
  const seen = new Set<string>();
  const visit = (output: string) => {
    if (!seen.has(output) && outputs[output] !== undefined) {
      seen.add(output);
      outputs[output].imports.filter(({ kind }) => kind === 'import-statement').forEach((each) => visit(each.path));
    }
  };
  starts.forEach((source) => {
    const output = Object.keys(outputs).find((each) => outputs[each]?.entryPoint === source);
    expect(output, source).toBeDefined();
    visit(output!);
  });
  const sources = [...seen].flatMap((output) => Object.keys(outputs[output]!.inputs));
  const packages = sources.map((source) => /node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(source)?.[1]);
  return [...new Set(packages.filter((name) => name !== undefined))].sort();
}

describe('the start of the command line', () => {
  let metafile: Metafile;

  beforeAll(async () => {
    const outdir = path.join(root, 'dist');
    const built = await build({
      ...engineTarget.options,
      absWorkingDir: root,
      bundle: true,
      write: false,
      outdir,
      metafile: true,
    });
    metafile = built.metafile;
  });

  it('loads no command', () => {
    expect(loadedPackages(metafile, ['engine/cli.ts'])).toEqual(['commander']);
  });

  it('loads neither schemas nor the tokenizer nor ONNX to inspect a checkpoint', () => {
    const sources = ['engine/cli.ts', 'engine/commandLine/inspectCommand.ts'];
    expect(loadedPackages(metafile, sources)).toEqual(['commander', 'jsonc-parser']);
    expect(loadedPackages(metafile, ['engine/commandLine/profileCommand.ts'])).toContain('zod');
  });

  it('has all commands in the help, and the options of the one that is named', async () => {
    const names = commandTable.map(({ usage }) => usage.split(' ', 1)[0]!);
    const help = (await createProgram(['--help'], root)).helpInformation();
    names.forEach((name) => expect(help).toContain(`\n  ${name} `));
    for (const words of [
      ['prune', 'folder', '--ratio', '0.5'],
      ['help', 'prune'],
      ['prune', '--help'],
    ]) {
      const program = await createProgram(words, root);
      const prune = program.commands.find((command) => command.name() === 'prune');
      expect(prune?.options.map(({ long }) => long)).toEqual(expect.arrayContaining(['--ratio', '--method', '--json']));
    }
  });

  it.each(commandTable)('$usage has an action of its own', async ({ usage }) => {
    const name = usage.split(' ', 1)[0]!;
    const program = await createProgram([name], root);
    const command = program.commands.find((each) => each.name() === name)!;
    const other = program.commands.find((each) => each.name() !== name)!;
    const handler = (each: object) => (each as { _actionHandler: unknown })._actionHandler;
    expect(handler(command)).toBeInstanceOf(Function);
    expect(handler(other)).toBeNull();
  });
});
