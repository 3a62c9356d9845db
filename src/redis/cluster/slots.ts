import { Command, METHODS } from '../ioredis.ts';

/** Where a node of a cluster listens, as `host:port`. */
export type Address = string;

/** Slots from the first to the last, both included, and the node that owns them. */
export interface SlotRange {
  readonly first: number;
  readonly last: number;
  readonly owner: Address;
}

/** Which node owns which slot, as far as is known. */
export class SlotTable {
  #owners: (Address | undefined)[] = [];
  #nodes: readonly Address[] | undefined;

  /** Whether a node has been asked. */
  get isKnown(): boolean {
    return this.#owners.length > 0;
  }

  /** The nodes that own slots, each once. */
  get nodes(): readonly Address[] {
    // Kept: every command without a key asks.
    this.#nodes ??= [...new Set(this.#owners.filter((owner) => owner !== undefined))];
    return this.#nodes;
  }

  ownerOf(slot: number): Address | undefined {
    return this.#owners[slot];
  }

  /** A node has said that the slot is another's. */
  move(slot: number, owner: Address): void {
    this.#owners[slot] = owner;
    this.#nodes = undefined;
  }

  /** What a node knows replaces what was known. */
  adopt(ranges: readonly SlotRange[]): void {
    const owners = Array.from<Address | undefined>({ length: SLOTS });
    for (const { first, last, owner } of ranges) owners.fill(owner, first, last + 1);
    this.#owners = owners;
    this.#nodes = undefined;
  }
}

const SLOTS = 16_384;

export function isSlot(value: number): boolean {
  return Number.isInteger(value) && value >= 0 && value < SLOTS;
}

/** The slot of the first key of a command; `undefined` for a command without a key, or one that makes no sense. That of a module has it first. */
export function slotOf(name: string, args: readonly unknown[], keyPrefix?: string): number | undefined {
  try {
    // As ioredis finds the key among the arguments, when they are flat and when they are an object.
    const command = new Command(name, args as string[], keyPrefix === undefined ? {} : { keyPrefix });
    const [key = METHODS.has(name.toLowerCase()) ? undefined : command.args[0]] = command.getKeys();
    return key === undefined ? undefined : slotOfKey(key instanceof Uint8Array ? key : Buffer.from(String(key)));
  } catch {
    // The server says what is wrong with it.
    return undefined;
  }
}

const OPENING = 0x7b;
const CLOSING = 0x7d;

/** Not by ioredis: to Redis `{}` says that there is no tag, whatever follows. https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/#hash-tags */
function slotOfKey(key: Uint8Array): number {
  const start = key.indexOf(OPENING) + 1;
  const end = start > 0 ? key.indexOf(CLOSING, start) : -1;
  return crc16(end > start ? key.subarray(start, end) : key) % SLOTS;
}

/** CRC-16/XMODEM. */
function crc16(bytes: Uint8Array): number {
  let crc = 0;
  for (const byte of bytes) {
    crc ^= byte << 8;
    for (let bit = 0; bit < 8; bit++) crc = (crc << 1) ^ (crc & 0x8000 ? 0x1021 : 0);
    crc &= 0xffff;
  }
  return crc;
}

/** The text of an address. */
export function addressOf(host: string, port: number | string): Address {
  return `${host}:${port}`;
}

/** An address of which only the host may contain colons. */
export function partsOf(address: Address): { readonly host: string; readonly port: number } {
  const colon = address.lastIndexOf(':');
  return { host: address.slice(0, colon), port: Number(address.slice(colon + 1)) };
}

/**
 * What `CLUSTER SLOTS` answers: for each range the first and the last slot, then the owner, then its replicas.
 *
 * @param asked Who has answered: a node that does not know its own name gives none.
 */
export function rangesOf(reply: unknown, asked: Address): readonly SlotRange[] {
  return (reply as readonly (readonly [number, number, readonly [string | null, number]])[]).map(([first, last, [host, port]]) => ({
    first: Number(first),
    last: Number(last),
    owner: addressOf(host || partsOf(asked).host, port),
  }));
}
