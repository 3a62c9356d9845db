import { CHANNELS, publish } from '../channels.ts';
import { now } from '../clock.ts';
import { ConnectionCondition } from './condition.ts';
import type { Demotion } from './demotion.ts';
import type { Redis, SentCommand } from './ioredis.ts';
import { JoinedWrites } from './joined-writes.ts';
import { outcomeOf, sendTellingOutcome } from './outcome.ts';
import { ReplyWatch } from './reply-watch.ts';
import { hideSecrets } from './secrets.ts';

/** What a connection is equipped with, and what it says when something happens. */
export interface Equipment {
  readonly pool: string;
  /** Name of the root scope that owns the connection. */
  readonly scope: string;
  readonly commandTimeoutMs: number;
  readonly demotion: Demotion;
}

const CONDITION = Symbol('condition');
/** Emitted by a connection that is to be replaced, with the reason. */
const OUTDATED = Symbol('outdated');

/** The condition of a connection, or of the one that a guard shows. */
export function conditionOf(connection: Redis): ConnectionCondition | undefined {
  return (connection as { [CONDITION]?: ConnectionCondition })[CONDITION];
}

export function onOutdated(connection: Redis, report: (reason: unknown) => void): void {
  connection.once(OUTDATED, report);
}

/** From now on every command is looked at on its way out; what is written in one tick leaves in one piece, behind the first. */
export function equip(connection: Redis, { pool, scope, commandTimeoutMs, demotion }: Equipment): void {
  const condition = new ConnectionCondition(connection);
  const watch = new ReplyWatch(pool, connection, commandTimeoutMs);
  const connectedAt = now();
  const { sendCommand: send, commandQueue: queue } = connection;
  const onFailed = (command: SentCommand, error: Error): void => {
    const outcome = outcomeOf(error);
    if (outcome === 'unknown') publish(CHANNELS.outcomeUnknown, () => ({ pool, scope, command: command.name, error }));
    else if (outcome) condition.onUnexecuted(command);
    if (isReadonly(error) && demotion.isNews(connectedAt)) connection.emit(OUTDATED, error.cause ?? error);
  };
  const joined = new JoinedWrites(connection);
  // ioredis looks after these only where it writes itself.
  const mayJoin = (connection.options as { himportFieldsets?: unknown }).himportFieldsets === undefined;
  const sender = { pool, queue, onFailed };
  Object.defineProperty(connection, CONDITION, { value: condition });
  connection.sendCommand = (command, stream) => {
    const sent = command as unknown as SentCommand;
    condition.onSend(sent);
    watch.onSend();
    // The first leaves at once: one user alone would only be later.
    const to = stream ?? (queue.length > 0 && mayJoin ? joined : undefined);
    if (queue.length > 0) joined.begin();
    // The batches of ioredis write by themselves.
    if (to !== joined) joined.flush();
    return sendTellingOutcome(sender, sent, () => {
      // Last: what it hides must not stand in the cause.
      hideSecrets(sent);
      return send.call(connection, command, to as typeof stream);
    });
  };
}

/** Whether the server says that it is a replica, also out of a script; but not whether a script of the user's own says something that begins so. */
function isReadonly(error: Error): boolean {
  const { message } = error.cause instanceof Error ? error.cause : error;
  return /^(?:EXECABORT .*: )?READONLY (?:You can't write|Can not run script)/.test(message);
}
