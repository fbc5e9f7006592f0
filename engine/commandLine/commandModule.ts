import type { Command } from 'commander';

/** Makes a command that accepts the options all commands share. */
export type MakeCommand = (usage: string, description: string) => Command;

/** Adds one command to the program. `programDirectory` is the folder of the running bundle. */
export type CommandModule = (command: MakeCommand, programDirectory: string) => void;
