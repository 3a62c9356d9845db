// The one door to ioredis (5 and 6).
export { type ChainableCommander, Redis, type RedisOptions } from 'ioredis';

import { Redis } from 'ioredis';

/** A command as it is sent: what of ioredis' `Command` is used here. */
export interface SentCommand {
  readonly name: string;
  readonly args: readonly unknown[];
  readonly promise: Promise<unknown>;
  reject(error: Error): void;
}

/** Every command that ioredis knows, lower case. */
export const COMMANDS: readonly string[] = Redis.prototype.getBuiltinCommands();
