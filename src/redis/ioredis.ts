// The one door to ioredis (5 and 6).
export { type ChainableCommander, Redis, type RedisOptions } from 'ioredis';

import { Redis } from 'ioredis';

/** A command as it is sent: what of ioredis' `Command` is used here. */
export interface SentCommand {
  readonly name: string;
  readonly args: readonly unknown[];
  readonly promise: Promise<unknown>;
  reject: (error: Error) => void;
}

/** Every command that ioredis knows, lower case. */
export const COMMANDS: readonly string[] = [...Redis.prototype.getBuiltinCommands(), 'monitor'];

/** The methods that send a command, each with the command's name; `call` and `callBuffer` take it as an argument. */
export const METHODS: ReadonlyMap<string, string> = new Map(COMMANDS.flatMap((name) => methodsOf(name).map((method) => [method, name])));

/** The methods under which a command or a script is called: its reply as text, and as a Buffer. */
export function methodsOf(name: string): readonly [string, string] {
  return [name, `${name}Buffer`];
}
