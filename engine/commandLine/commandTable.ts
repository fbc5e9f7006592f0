import type { CommandModule } from './commandModule';

/** What the help says of a command, and the file that holds it: only that of the command that runs is loaded. */
export interface CommandRow {
  /** Name and arguments. */
  readonly usage: string;
  readonly description: string;
  load(): Promise<CommandModule>;
}

/** The commands in the order of the help, exactly as the contract spells them: one file and one row each. */
export const commandTable: readonly CommandRow[] = [
  {
    usage: 'doctor',
    description: 'probe the execution providers and say which is used and why',
    load: async () => (await import('./doctorCommand')).doctorCommand,
  },
  {
    usage: 'inspect <checkpoint>',
    description: 'read the headers of a checkpoint',
    load: async () => (await import('./inspectCommand')).inspectCommand,
  },
  {
    usage: 'moe <checkpoint>',
    description: 'run one MoE block on tensor x of a safetensors file',
    load: async () => (await import('./moeCommand')).moeCommand,
  },
  {
    usage: 'forward <checkpoint>',
    description: 'run the whole model on token ids and write its logits',
    load: async () => (await import('./forwardCommand')).forwardCommand,
  },
  {
    usage: 'profile <checkpoint>',
    description: 'measure how sensitive each MoE layer is to fewer active experts',
    load: async () => (await import('./profileCommand')).profileCommand,
  },
  {
    usage: 'budget <checkpoint>',
    description: 'choose active experts per layer and write a plan',
    load: async () => (await import('./budgetCommand')).budgetCommand,
  },
  {
    usage: 'evaluate <checkpoint>',
    description: 'measure quality, and a plan against the baseline',
    load: async () => (await import('./evaluateCommand')).evaluateCommand,
  },
  {
    usage: 'apply <checkpoint>',
    description: 'write what a plan decides for one runtime',
    load: async () => (await import('./applyCommand')).applyCommand,
  },
  {
    usage: 'calibrate <checkpoint>',
    description: 'record on text what the router and every expert really do',
    load: async () => (await import('./calibrateCommand')).calibrateCommand,
  },
  {
    usage: 'prune <checkpoint>',
    description: 'choose which experts of every layer stay and write a plan',
    load: async () => (await import('./pruneCommand')).pruneCommand,
  },
  {
    usage: 'merge <checkpoint>',
    description: 'choose experts that become one, measured against pruning to the same size, and write a plan',
    load: async () => (await import('./mergeCommand')).mergeCommand,
  },
  {
    usage: 'quantize <checkpoint>',
    description: 'round the weights of experts, and choose bits where they matter',
    load: async () => (await import('./quantizeCommand')).quantizeCommand,
  },
  {
    usage: 'bench <checkpoint>',
    description: 'measure the speed of the exported model, and of a plan against it',
    load: async () => (await import('./benchCommand')).benchCommand,
  },
  {
    usage: 'generate <checkpoint>',
    description: 'go on from a prompt with the model, and with a plan beside it',
    load: async () => (await import('./generateCommand')).generateCommand,
  },
];
