// The one door to ioredis (5 and 6).
export { type ChainableCommander, Command, Redis, type RedisOptions } from 'ioredis';

import type { Duplex } from 'node:stream';
import { SentinelConnector as IoredisSentinelConnector, Redis, type RedisOptions } from 'ioredis';

/** A command as it is sent: what of ioredis' `Command` is used here. */
export interface SentCommand {
  readonly name: string;
  readonly args: readonly unknown[];
  readonly promise: Promise<unknown>;
  reject: (error: Error) => void;
}

/** Where a server is; ioredis has defaults for what is missing. */
export interface Address {
  readonly host?: string;
  readonly port?: number;
}

/** ioredis' connector for Sentinel, with the methods that its types hide and that a pool must change or call. */
export interface SentinelConnector {
  connect(emit: (type: string, error: Error) => void): Promise<Duplex>;
  disconnect(): void;
  /** @param info Of the server. @returns whether that is the right one. */
  check(info: { readonly role?: string }): boolean;
  /** Asks one sentinel. */
  resolve(sentinel: Address): Promise<Address | null>;
  /** The same, over a connection to it. */
  resolveMaster(client: Redis): Promise<Address | null>;
  connectToSentinel(sentinel: Address, options?: RedisOptions): Redis;
}

export const SentinelConnector = IoredisSentinelConnector as unknown as new (options: RedisOptions) => SentinelConnector;

/** Every command that ioredis knows, lower case. */
export const COMMANDS: readonly string[] = [...Redis.prototype.getBuiltinCommands(), 'monitor'];

/** The methods that send a command, each with the command's name; `call` and `callBuffer` take it as an argument. */
export const METHODS: ReadonlyMap<string, string> = new Map(COMMANDS.flatMap((name) => methodsOf(name).map((method) => [method, name])));

/** The methods under which a command or a script is called: its reply as text, and as a Buffer. */
export function methodsOf(name: string): readonly [string, string] {
  return [name, `${name}Buffer`];
}
