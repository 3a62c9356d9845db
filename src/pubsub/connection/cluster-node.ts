import { within } from '../../clock.ts';
import { ShardChannelsApartError } from '../../errors.ts';
import { checkArgument } from '../../options.ts';
import { firstAnswer, inAnyOrder } from '../../redis/cluster/first-answer.ts';
import { type ClusterNode, isSecure, NODES_CHECK, seedsOf } from '../../redis/cluster/options.ts';
import { type Address, partsOf, rangesOf, type SlotRange, slotOf } from '../../redis/cluster/slots.ts';
import { connectionConfig } from '../../redis/config.ts';
import { type ConnectionConfig, cut, dial } from '../../redis/connection.ts';
import type { ConnectionOptions } from '../../redis/options.ts';
import { type ConnectContext, withGiven } from '../options.ts';

/** What a node said. */
interface Answer {
  readonly node: Address;
  readonly ranges: readonly SlotRange[];
}

/**
 * Picks a node of a Redis cluster: `createSubscriber('news', { connect: clusterNode(['redis://a:7000', 'redis://b:7000']) })`.
 * With sharded channels it is the one that owns them; else any that answers, and after a failure another one, also of
 * those that the cluster told of. User, password and `tls` are those of the subscriber.
 *
 * @param nodes Some nodes of the cluster, `{ host, port }` or `redis://host:port`, `rediss:` for TLS to all; the others are asked of them.
 * @throws InvalidOptionError
 */
export function clusterNode(nodes: readonly ClusterNode[]): (context: ConnectContext) => Promise<ConnectionOptions> {
  checkArgument('clusterNode()', 'its nodes', nodes, NODES_CHECK);
  const seeds = seedsOf({ nodes });
  const tls = isSecure(nodes) ? { tls: {} } : {};
  /** By the options of the subscriber: where it was led to. */
  const led = new WeakMap<object, Address>();
  let known: readonly Address[] = [];
  return async (context) => {
    const { shardChannels, options } = context;
    const placeOf = (node: Address) => ({ ...(options.tls ? {} : tls), ...partsOf(node) });
    const last = led.get(options);
    // What is refreshed has not failed: on the same node nothing is lost.
    if (last !== undefined && isRefreshed(context) && shardChannels.length === 0) return placeOf(last);
    const { node, ranges } = await ask(inOrder(known, seeds, last), context, placeOf);
    known = [...new Set(ranges.map(({ owner }) => owner))];
    const next = ownerOf(ranges, context) ?? node;
    led.set(options, next);
    return placeOf(next);
  };
}

function isRefreshed({ failures, error }: ConnectContext): boolean {
  return failures === 0 && error === undefined;
}

/** Those that are known to be there first, one that has failed or was left last. */
function inOrder(known: readonly Address[], seeds: readonly Address[], last: Address | undefined): readonly Address[] {
  const others = [...new Set([...inAnyOrder(known), ...inAnyOrder(seeds)])].filter((node) => node !== last);
  return last === undefined ? others : [...others, last];
}

/** The first that knows of a cluster. @throws what each said. */
async function ask(
  nodes: readonly Address[],
  { subscriber, options, signal }: ConnectContext,
  placeOf: (node: Address) => ConnectionOptions,
): Promise<Answer> {
  const done = new AbortController();
  const failures: { readonly node: Address; readonly error: Error }[] = [];
  try {
    const answer = await firstAnswer(nodes, async (node) => {
      const config = connectionConfig('subscriber', subscriber, withGiven(options, placeOf(node)));
      return answerOf(node, config, AbortSignal.any([signal, done.signal])).catch((error: Error) => {
        failures.push({ node, error });
        throw error;
      });
    }).catch(() => undefined);
    if (answer) return answer;
  } finally {
    done.abort();
  }
  const said = failures.map(({ node, error }) => `; ${node}: ${error.message}`).join('');
  throw new AggregateError(
    failures.map(({ error }) => error),
    `none of the nodes ${nodes.join(', ')} says who owns which slots${said}`,
  );
}

/** Nothing of a node that knows of no owner: it has left the cluster, or not joined it yet. */
async function answerOf(node: Address, config: ConnectionConfig, signal: AbortSignal): Promise<Answer | undefined> {
  signal.throwIfAborted();
  // What is left of the time is for another node.
  const deadlineMs = config.connectTimeoutMs / 2;
  const connection = await dial({ ...config, connectTimeoutMs: deadlineMs }, signal);
  const leave = () => cut(connection);
  signal.addEventListener('abort', leave, { once: true });
  try {
    signal.throwIfAborted();
    const slots = await within(connection.cluster('SLOTS'), deadlineMs);
    if (slots === 'late') throw new Error(`CLUSTER SLOTS was not answered within ${deadlineMs} ms`);
    const ranges = rangesOf(slots.value, node);
    return ranges.length > 0 ? { node, ranges } : undefined;
  } finally {
    signal.removeEventListener('abort', leave);
    leave();
  }
}

/** Who owns the sharded channels; nobody where there are none. @throws where that is nobody, or not one. */
function ownerOf(ranges: readonly SlotRange[], { subscriber, shardChannels }: ConnectContext): Address | undefined {
  let first: { readonly channel: string; readonly owner: Address } | undefined;
  for (const channel of shardChannels) {
    const slot = slotOf('get', [channel]) as number;
    const owner = ranges.find((range) => range.first <= slot && slot <= range.last)?.owner;
    if (owner === undefined) throw new Error(`subscriber "${subscriber}": no node owns slot ${slot}, of its sharded channel "${channel}"`);
    first ??= { channel, owner };
    if (owner !== first.owner) throw new ShardChannelsApartError(subscriber, [first.channel, channel]);
  }
  return first?.owner;
}
