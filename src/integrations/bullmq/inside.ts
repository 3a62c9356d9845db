/** A client of Redis, of ioredis or whatever adapter BullMQ has put around another one. */
interface ClientInside {
  readonly status?: string;
  readonly isCluster?: boolean;
  connect?(): Promise<unknown>;
  disconnect(): unknown;
}

interface ConnectionInside {
  /** There from the start; the promise that BullMQ hands out for it may never resolve. */
  readonly _client?: ClientInside;
  /** `shared`: it was given by the user, who closes it. */
  readonly extraOptions?: { readonly shared?: boolean };
  close(force: boolean): Promise<unknown>;
}

interface ChildInside {
  kill(signal: 'SIGKILL'): Promise<unknown>;
}

interface ChildPoolInside {
  readonly retained: Readonly<Record<string, ChildInside>>;
  getAllFree(): readonly ChildInside[];
  kill(child: ChildInside, ...rest: unknown[]): unknown;
}

interface Connections {
  readonly connection?: ConnectionInside;
  readonly blockingConnection?: ConnectionInside;
  disconnect?(): Promise<unknown>;
}

/** What BullMQ keeps to itself and only the end of a worker needs; 5 has the connections, 6 has a backend that has them. */
interface Inside extends Connections {
  readonly closed?: boolean;
  readonly closing?: unknown;
  readonly childPool?: ChildPoolInside;
  readonly lockManager?: { getTrackedJobIds?(): readonly string[]; close(): unknown };
  readonly stalledCheckStopper?: () => void;
  getBackend?(): Connections;
}

/** What is read of a worker, and done to it, where BullMQ has no way that surely ends. Whatever is not there counts as ended. */
export class WorkerInsides {
  readonly #worker: Inside;
  readonly #children = new Set<ChildInside>();

  constructor(worker: object) {
    this.#worker = worker as Inside;
  }

  get hasClosed(): boolean {
    return this.#worker.closed === true;
  }

  get isClosing(): boolean {
    return this.#worker.closing !== undefined;
  }

  /** Whether Redis can be talked to. A worker that closes has parted with its blocking connection first. */
  get isReady(): boolean {
    const { connection, blockingConnection } = this.#connections;
    return isReady(connection?._client) && (this.isClosing || isReady(blockingConnection?._client));
  }

  /** The ids of jobs whose processors run, as far as this version of BullMQ counts them. */
  get jobs(): readonly string[] {
    return this.#worker.lockManager?.getTrackedJobIds?.() ?? [];
  }

  /** Keeps in mind which children BullMQ asks to end, for it forgets them and waits for half a minute. */
  watchChildren(): void {
    const { childPool } = this.#worker;
    if (!childPool) return;
    const { kill } = childPool;
    childPool.kill = (child, ...rest) => {
      this.#children.add(child);
      return kill.call(childPool, child, ...rest);
    };
  }

  killChildren(): void {
    const { childPool } = this.#worker;
    if (!childPool) return;
    for (const child of [...this.#children, ...Object.values(childPool.retained), ...childPool.getAllFree()]) {
      child.kill('SIGKILL').catch(() => {});
    }
  }

  /** Ends what keeps the process alive and what would connect again. Nobody hears of what BullMQ still waits for. */
  cut(): void {
    const { lockManager, stalledCheckStopper } = this.#worker;
    lockManager?.close();
    stalledCheckStopper?.();
    const { connection, blockingConnection, disconnect } = this.#connections;
    for (const owned of [connection, blockingConnection]) {
      if (!owned || owned.extraOptions?.shared) continue;
      const { _client: client } = owned;
      // A loop of BullMQ, or of the client, may be about to connect again.
      if (client?.connect) client.connect = () => new Promise(() => {});
      owned.close(true).catch(() => {});
      // Where it is being closed in order already, that did nothing.
      client?.disconnect();
    }
    if (!connection) disconnect?.call(this.#connections).catch(() => {});
  }

  get #connections(): Connections {
    return this.#worker.getBackend?.() ?? this.#worker;
  }
}

function isReady(client: ClientInside | undefined): boolean {
  const { status, isCluster } = client ?? {};
  return status === undefined || status === 'ready' || (status === 'connect' && isCluster === true);
}
