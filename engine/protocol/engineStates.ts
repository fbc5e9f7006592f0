/** What the engine does right now, as the status item and the pages show it. */
export const engineStates = ['stopped', 'starting', 'idle', 'busy', 'failed'] as const;
