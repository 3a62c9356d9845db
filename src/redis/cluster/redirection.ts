import { CommandTimeoutError, RedisConnectionError } from '../../errors.ts';
import type { Redis, SentCommand } from '../ioredis.ts';
import { type Address, addressOf, isSlot, partsOf } from './slots.ts';

/**
 * Where a node sends a command that it has not executed. `moved`: the slot is the other's from now on. `ask`: the slot
 * is on its way there, and this key is there already.
 */
export interface Redirection {
  readonly kind: 'moved' | 'ask';
  readonly slot: number;
  readonly to: Address;
}

/** Which node has answered with an error. */
const ANSWERED_BY = new WeakMap<object, Address>();

/** @param from Who answered; a node that does not know the name of the other means the same host. */
export function redirectionOf(error: unknown, from = ANSWERED_BY.get(error as object)): Redirection | undefined {
  if (!(error instanceof RedisConnectionError) || error.outcome !== 'rejected') return undefined;
  const { message, previousErrors: [first] = [] } = error.cause as Error & { readonly previousErrors?: readonly unknown[] };
  // Of a transaction the first command says it; to ask for a whole one, elsewhere, is not possible.
  const redirection = first ? redirectionOf(first, from) : undefined;
  if (redirection?.kind === 'moved') return redirection;
  const [word, digits = '', address = ''] = message.split(' ');
  const slot = Number(digits);
  if ((word !== 'MOVED' && word !== 'ASK') || !isSlot(slot)) return undefined;
  const { host, port } = partsOf(address);
  return { kind: word === 'ASK' ? 'ask' : 'moved', slot, to: addressOf(host || (from ? partsOf(from).host : host), port) };
}

/** Whether a batch, of which these are the results, was not executed, for its slot is another node's. */
export function isMovedBatch(results: unknown): boolean {
  return Array.isArray(results) && results.length > 0 && results.every((result: unknown) => isMoved((result as readonly unknown[])[0]));
}

function isMoved(error: unknown): boolean {
  return redirectionOf(error)?.kind === 'moved';
}

/** Tells of every command that the node at this address could not serve, or whose connection broke. */
export function hearFailures(connection: Redis, address: Address, report: (error: Error) => void): void {
  const send = connection.sendCommand;
  connection.sendCommand = (command, stream) => {
    const sent = command as unknown as SentCommand;
    const { reject } = sent;
    sent.reject = (error) => {
      if (error instanceof RedisConnectionError || error instanceof CommandTimeoutError) {
        ANSWERED_BY.set(error, address);
        report(error);
      }
      reject.call(sent, error);
    };
    return send.call(connection, command, stream);
  };
}
