import { NotEncodableError } from '../errors.ts';

export const CODECS = ['json', 'bytes'] as const;

/** How items become messages, and messages items: as JSON, or as the bytes that they are. */
export type Codec = (typeof CODECS)[number];

/** What is sent to the server. */
export type Payload = string | Buffer;

/**
 * An item as it is now: what becomes of it later is not seen.
 *
 * @param owner Named in errors; the item is not.
 * @throws NotEncodableError
 */
export function encode(codec: Codec, item: unknown, owner: string): Payload {
  return codec === 'json' ? encodeJson(item, owner) : encodeBytes(item, owner);
}

function encodeJson(item: unknown, owner: string): string {
  let text: string | undefined;
  try {
    text = JSON.stringify(item);
  } catch (error) {
    throw new NotEncodableError(owner, item, 'JSON', error);
  }
  if (text === undefined) throw new NotEncodableError(owner, item, 'JSON');
  return text;
}

function encodeBytes(item: unknown, owner: string): Payload {
  if (typeof item === 'string') return item;
  if (item instanceof Uint8Array) return Buffer.from(item);
  throw new NotEncodableError(owner, item, 'bytes');
}
