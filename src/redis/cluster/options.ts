import { type Check, checkArgument } from '../../options.ts';
import type { AcquireOptions } from '../../pool/options.ts';
import { checkRedisPool, OWN_CHECKS, ELSEWHERE as POOL_ELSEWHERE, port, type RedisPoolOptions } from '../options.ts';
import type { RetryOptions } from '../retry.ts';
import { type Address, addressOf, partsOf } from './slots.ts';

/** A node, as an object or as the text `redis://host:port`, `rediss://host:port`. */
export type ClusterNode = string | { readonly host: string; readonly port?: number | undefined };

/** By the address that the cluster gives of a node: the one at which it is reached from here. */
export type NatMap =
  | Readonly<Record<string, { readonly host: string; readonly port: number }>>
  | ((address: string) => { readonly host: string; readonly port: number } | null | undefined);

/** Options of a single server that a cluster does not have, each with what to say of it. */
const ELSEWHERE = {
  url: 'see nodes',
  host: 'see nodes',
  port: 'see nodes',
  path: 'the nodes of a cluster listen on ports, see nodes',
  db: 'a cluster has database 0 alone',
  sentinels: 'a cluster looks after itself, see nodes',
  readOnly: 'commands go to the node that owns the key, which is never a replica',
} as const satisfies Partial<Record<keyof RedisPoolOptions, string>>;

/** Settings of `defineRedisClusterPool`: those of `defineRedisPool` but for the server, which `nodes` name. `max`, too, holds for each node. */
export interface RedisClusterPoolOptions extends Omit<RedisPoolOptions, keyof typeof ELSEWHERE | 'natMap'> {
  /** Some nodes of the cluster, `{ host, port }` or `redis://host:port`; the others are asked of them. */
  readonly nodes: readonly ClusterNode[];
  /** At which address nodes are reached from here, by the one that the cluster gives of them: `{ '10.0.0.1:6379': { host, port } }`, or a function. */
  readonly natMap?: NatMap | undefined;
}

/** Settings of `acquire`, `acquireShared`, `use` and `share` of a cluster pool. */
export interface ClusterAcquireOptions extends AcquireOptions {
  /** The connection leads to the node of this key. */
  readonly key: string | Buffer | number;
}

export const KEY_CHECK: Check = (key) => {
  if (typeof key === 'string' || typeof key === 'number' || key instanceof Uint8Array) return undefined;
  return 'a key, whose node the connection leads to: use(fn, { key })';
};

/** A cluster says CLUSTERDOWN and TRYAGAIN for seconds, until a replica has taken over or a slot has moved. */
const RETRY = { delaysMs: [0, 50, 200, 500, 1_000, 1_000, 1_000, 1_000], maxAttempts: 9 } satisfies RetryOptions;

const isNode: Check = (value) => {
  const { host, port: given = DEFAULT_PORT } = (typeof value === 'object' && value !== null ? value : {}) as {
    host?: unknown;
    port?: unknown;
  };
  if (typeof value === 'string' ? isNodeUrl(value) : typeof host === 'string' && host !== '' && port(given) === undefined) return undefined;
  return 'a list of nodes, { host, port } or "redis://host:port"; user and password are options beside it';
};

const DEFAULT_PORT = 6379;

function isNodeUrl(text: string): boolean {
  if (!/^rediss?:\/\//i.test(text) || !URL.canParse(text)) return false;
  const { hostname, username, password, pathname, search } = new URL(text);
  return hostname !== '' && username === '' && password === '' && /^(?:\/0?)?$/.test(pathname) && search === '';
}

/** Some nodes, one at the least. */
export const NODES_CHECK: Check = (value) =>
  Array.isArray(value) && value.length > 0 ? value.map(isNode).find((wrong) => wrong !== undefined) : isNode(undefined);

const CHECKS: Readonly<Record<'nodes' | 'natMap', Check>> = {
  nodes: NODES_CHECK,
  natMap: (value) =>
    typeof value === 'function' || (typeof value === 'object' && value !== null && Object.values(value).every((node) => !isNode(node)))
      ? undefined
      : "an object of addresses, { '10.0.0.1:6379': { host, port } }, or a function",
};

/** @throws InvalidOptionError */
export function checkRedisClusterPool(name: string, options: RedisClusterPoolOptions): void {
  const kind = { by: 'defineRedisClusterPool', own: { ...OWN_CHECKS, ...CHECKS }, elsewhere: { ...POOL_ELSEWHERE, ...ELSEWHERE } };
  checkRedisPool(name, options as RedisPoolOptions, kind);
  checkArgument(`${kind.by}("${name}")`, 'nodes', options.nodes, CHECKS.nodes);
}

/** The nodes to begin with. */
export function seedsOf({ nodes }: Pick<RedisClusterPoolOptions, 'nodes'>): readonly Address[] {
  return nodes.map((node) => {
    if (typeof node !== 'string') return addressOf(node.host, node.port ?? DEFAULT_PORT);
    const { hostname, port: digits } = new URL(node);
    return addressOf(hostname.replace(/^\[(.*)\]$/, '$1'), digits || DEFAULT_PORT);
  });
}

/** Whether one of them says that all are reached by TLS. */
export function isSecure(nodes: readonly ClusterNode[]): boolean {
  return nodes.some((node) => typeof node === 'string' && /^rediss:/i.test(node));
}

/** Where a node is reached that the cluster knows by this address. */
export function reachOf({ natMap }: RedisClusterPoolOptions, address: Address): Address {
  const mapped = typeof natMap === 'function' ? natMap(address) : natMap?.[address];
  return mapped ? addressOf(mapped.host, mapped.port) : address;
}

/** The options of a pool of connections to one node. */
export function optionsOf({ nodes, natMap: _, ...others }: RedisClusterPoolOptions, address: Address): RedisPoolOptions {
  return { ...others, ...(isSecure(nodes) && !others.tls && { tls: {} }), retry: others.retry ?? RETRY, ...partsOf(address) };
}
