/** Something that is ended once: a listener, a registration, an object of the editor. */
export interface Subscription {
  dispose(): unknown;
}

/** Ends all of them. */
export function disposeAll(subscriptions: readonly Subscription[]): void {
  for (const subscription of subscriptions) {
    subscription.dispose();
  }
}
