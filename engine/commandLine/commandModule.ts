import type { Command } from 'commander';

/** Adds options and action to a command that has those all commands share. `programDirectory` is the folder of the running bundle. */
export type CommandModule = (command: Command, programDirectory: string) => void;
