/** A message of a channel. */
export interface Message<M = string> {
  readonly type: 'message';
  readonly channel: string;
  /** The pattern that it came by. */
  readonly pattern?: string | undefined;
  /** Of a sharded channel. */
  readonly sharded: boolean;
  readonly message: M;
  /** The number of the connection that it came over, from 1. */
  readonly epoch: number;
}

/** Messages may be missing: whoever keeps what messages told, such as a cache, has to ask anew. Instants are by the clock of this process. */
export interface Gap {
  readonly type: 'gap';
  /** Nothing that was published at this instant or before is lost, in milliseconds since 1970. */
  readonly after: number;
  /** Nothing that was published at this instant or later is lost, in milliseconds since 1970. */
  readonly before: number;
  readonly reason: GapReason;
  /** How many messages were dropped; known of an overflow alone. */
  readonly dropped?: number | undefined;
}

/** Why messages may be missing: what ended the connection, or a consumer that was too slow for its buffer. */
export type GapReason = DownReason | 'overflow';

/** Why a connection is being replaced. */
export type DownReason = 'closed' | 'heartbeat-timeout' | 'delivery-probe' | 'moved' | 'refreshed';
