import { blocksForMs, classify } from './classify.ts';
import type { Redis, SentCommand } from './ioredis.ts';
import { isReading } from './reading.ts';

type Words = readonly [string, ...string[]];

/**
 * What the commands sent so far have left on a connection. A connection on which something is left is not lent again:
 * it would answer the next user's commands otherwise than he expects. What one round trip can undo for certain is undone.
 */
export class ConnectionCondition {
  readonly #connection: Redis;
  #transaction = false;
  #watching = false;
  /** Another database may be chosen. */
  #moved = false;
  #renamed = false;
  #tracking = false;
  /** Something is left that cannot be undone. */
  #tainted = false;
  #changes: Set<SentCommand> | undefined;

  constructor(connection: Redis) {
    this.#connection = connection;
  }

  onSend(sent: SentCommand): void {
    const { name: command, args } = sent;
    if (this.#changes && !isReading(command)) this.#changes.add(sent);
    if (classify(command, args) === 'refused') this.#note(command.toLowerCase(), args);
  }

  /** A command has surely not been executed. */
  onUnexecuted(sent: SentCommand): void {
    this.#changes?.delete(sent);
  }

  /** From now on, until the connection is given back: what was sent that may have changed something, in Redis or on the connection. */
  noteChanges(): ReadonlySet<SentCommand> {
    this.#changes = new Set();
    return this.#changes;
  }

  /** Whether the connection is as it was when it was made, with no reply outstanding; or what makes it so, and rejects when it cannot. */
  restore(): boolean | Promise<unknown> {
    this.#changes = undefined;
    if (this.#tainted) return false;
    const pending = this.#connection.commandQueue;
    const undoing = this.#undoing();
    if (undoing.length === 0 && pending.length === 0) return true;
    const blocks = ({ command }: { command: unknown }) => blocksForMs((command as SentCommand).name, (command as SentCommand).args) > 0;
    if (pending.toArray().some(blocks)) return false;
    // Replies come in the order of the commands: with the last one, all have come.
    const last: readonly Words[] = undoing.length === 0 ? [['PING']] : undoing;
    return Promise.all(last.map((words) => this.#connection.call(...words)));
  }

  #undoing(): readonly Words[] {
    const { db, connectionName } = this.#connection.options;
    const undoing: Words[] = [];
    // It ends what is watched, too.
    if (this.#transaction) undoing.push(['DISCARD']);
    else if (this.#watching) undoing.push(['UNWATCH']);
    if (this.#moved) undoing.push(['SELECT', String(db ?? 0)]);
    if (this.#renamed) undoing.push(['CLIENT', 'SETNAME', connectionName ?? '']);
    if (this.#tracking) undoing.push(['CLIENT', 'TRACKING', 'OFF']);
    return undoing;
  }

  /** Only what the server surely executes undoes anything: what it refuses leaves all as it was. */
  #note(command: string, args: readonly unknown[]): void {
    const words = args.flat().map(String);
    switch (command) {
      case 'watch':
        this.#watching = true;
        return;
      case 'multi':
      case 'exec':
      case 'discard':
      case 'unwatch':
        if (words.length > 0) this.#tainted = true;
        else this.#noteTransaction(command);
        return;
      case 'select':
        this.#moved = !this.#isNow(words, String(this.#connection.options.db ?? 0));
        return;
      case 'client':
        this.#noteClient(words);
        return;
      // Waiting for replicas leaves nothing.
      case 'wait':
      case 'waitaof':
        return;
      default:
        this.#tainted = true;
    }
  }

  #noteTransaction(command: string): void {
    if (command === 'multi') this.#transaction = true;
    else if (command === 'unwatch') this.#watching = false;
    // Without MULTI the server refuses both, and goes on watching.
    else if (this.#transaction) this.#transaction = this.#watching = false;
  }

  #noteClient([subcommand = '', ...given]: readonly string[]): void {
    switch (subcommand.toLowerCase()) {
      case 'setname':
        this.#renamed = !this.#isNow(given, this.#connection.options.connectionName ?? '');
        return;
      case 'tracking':
        this.#tracking = !this.#isNow(
          given.map((word) => word.toLowerCase()),
          'off',
        );
        return;
      default:
        this.#tainted = true;
    }
  }

  /** Whether that alone was given, and holds from now on: in a transaction it is for later, or never. */
  #isNow(given: readonly string[], wanted: string): boolean {
    return !this.#transaction && given.length === 1 && given[0] === wanted;
  }
}
