import { backoffMs } from '../../backoff.ts';
import { now } from '../../clock.ts';
import { atRoot, enterFrame, type Frame } from '../../context.ts';
import {
  DeliveryStoppedError,
  HeartbeatTimeoutError,
  ShardChannelMovedError,
  ShardChannelsApartError,
  SubscriberClosedError,
  SubscriberRefusedError,
} from '../../errors.ts';
import { isFinal } from '../../redis/connection.ts';
import type { DownReason, Gap, Message } from '../messages.ts';
import type { SubscriberOptions } from '../options.ts';
import { KINDS, type Wanted } from '../wanted.ts';
import { Dialling } from './dialling.ts';
import { type HandedOver, handOver, mayRepeat } from './handover.ts';
import { heartbeatOf } from './heartbeat.ts';
import type { Line } from './line.ts';
import { Probe } from './probe.ts';
import { Pulse } from './pulse.ts';

/** A line that ends before it was so old is followed more slowly, in milliseconds: something ends them all. */
const YOUNG_MS = 1_000;

/** Who hears of what happens to the lines. */
export interface Heir<M> {
  onMessage(message: Message<M>): void;
  onPing(epoch: number, rttMs: number): void;
  onDown(epoch: number, reason: DownReason, error: Error): void;
  onRetry(failures: number, error: Error, nextMs: number): void;
  /** Before the messages of the new line. */
  onSucceeded(epoch: number, gap: Gap | undefined): void;
  onUp(epoch: number, gap: Gap | undefined): void;
  onRefused(error: Error): void;
}

/** What a succession is made of. */
export interface SuccessionConfig<M> {
  readonly name: string;
  readonly options: SubscriberOptions;
  readonly wanted: Wanted;
  /** In which lines live: what they bring is heard in it. */
  readonly frame: Frame;
  readonly heir: Heir<M>;
}

/** Sees to it that there is always a line: when one ends or is suspected, another takes its place. */
export class Succession<M> {
  readonly #config: SuccessionConfig<M>;
  readonly #dialling: Dialling<M>;
  #line: Line<M> | undefined;
  #pulse: Pulse | undefined;
  #probe: Probe | undefined;
  #since = 0;
  #adoptedAt = Number.NEGATIVE_INFINITY;
  /** How many lines in a row have died young. */
  #young = 0;
  /** Why the line is being replaced; nothing while it is not. */
  #reason: DownReason | undefined = 'refreshed';
  #running: Promise<void> = Promise.resolve();
  #syncing: Promise<void> | undefined;

  constructor(config: SuccessionConfig<M>) {
    this.#config = config;
    this.#dialling = new Dialling(config.name, config.options, config.wanted);
  }

  start(): void {
    this.#begin();
  }

  /** The line that is not being replaced. */
  get line(): Line<M> | undefined {
    return this.#reason === undefined ? this.#line : undefined;
  }

  /** By the time of day: nothing that was published before is lost, if the line breaks. */
  get provenAt(): number {
    return this.#probe?.provenAt ?? this.#pulse?.provenAt ?? 0;
  }

  /** By the time of day: what comes now was published later. */
  get oldestAt(): number {
    // What comes first may have been published while the line was being made.
    return this.provenAt > this.#since ? this.provenAt : (this.#line?.openedAt ?? 0);
  }

  /** Has another line take the place of this one, if that has not begun. */
  replace(reason: DownReason, error: Error): void {
    const line = this.#line;
    if (this.#dialling.isOver || !line) return;
    const known = this.#reason;
    if (known !== undefined && (known !== 'refreshed' || reason === 'refreshed')) return;
    this.#reason = reason;
    this.#dialling.error = reason === 'refreshed' ? undefined : error;
    if (reason !== 'refreshed') this.#config.heir.onDown(line.epoch, reason, error);
    if (known === undefined) this.#begin();
  }

  /** Subscribes the line to what is wanted, once for all who ask in one turn; while it is being replaced, that is left to the next. */
  sync(): Promise<void> {
    this.#syncing ??= Promise.resolve().then(() => {
      this.#syncing = undefined;
      return this.#sync();
    });
    return this.#syncing;
  }

  async #sync(): Promise<void> {
    const { line } = this;
    const { wanted } = this.#config;
    if (!line) return;
    try {
      await line.sync(wanted);
      if (line !== this.#line) return;
      for (const kind of KINDS) for (const name of wanted.names(kind)) if (line.has(kind, name)) wanted.acknowledge(kind, name);
    } catch (error) {
      if (error instanceof SubscriberRefusedError) this.#fail(error);
      else if (line === this.line && !line.ended) {
        const reason = error instanceof ShardChannelMovedError ? 'moved' : 'closed';
        this.#inFrame(() => this.replace(reason, error as Error));
      }
    }
  }

  /** Resolves when nothing is left of it, on the server neither. */
  async close(): Promise<void> {
    this.#dialling.end(new SubscriberClosedError(this.#config.name));
    this.#stopLooking();
    await Promise.all([this.#line?.close(), this.#running]);
  }

  /** Sockets live in the context in which they connect. */
  #inFrame<R>(fn: () => R): R {
    return atRoot(() => enterFrame(this.#config.frame, fn));
  }

  #begin(): void {
    this.#running = this.#inFrame(() => this.#succeed().catch((error: Error) => this.#fail(error)));
  }

  #fail(error: Error): void {
    if (this.#dialling.isOver) return;
    this.#dialling.end(error);
    this.#stopLooking();
    this.#line?.cut();
    this.#inFrame(() => this.#config.heir.onRefused(error));
  }

  async #succeed(): Promise<void> {
    const old = this.#line;
    this.#young = old && now() - this.#adoptedAt < YOUNG_MS ? this.#young + 1 : 0;
    if (this.#reason !== 'refreshed' && this.#young > 1) await this.#dialling.pause(backoffMs(this.#young - 1, Math.random()));
    for (let failures = 1; !this.#dialling.isOver; failures++) {
      const isAlone = !old || old.isOver;
      try {
        const next = await this.#dialling.open((old?.epoch ?? 0) + 1, failures - 1);
        // What ended before the next began cannot have given what that one gives, on the same server.
        const isNew = isAlone && (!old || !mayRepeat(old, next));
        const begun = isNew || !old ? { isSeamless: !old, since: next.subscribedAt } : await this.#handOver(old, next);
        if (!this.#dialling.isOver) this.#adopt(next, begun);
        return;
      } catch (error) {
        this.#dialling.cut();
        await this.#onFailed(failures, error as Error);
      }
    }
  }

  #handOver(old: Line<M>, next: Line<M>): Promise<HandedOver> {
    return handOver(old, next, (mark) => this.#dialling.publish(mark));
  }

  async #onFailed(failures: number, error: Error): Promise<void> {
    if (this.#dialling.isOver) return;
    if (error instanceof SubscriberRefusedError) throw error;
    if (error instanceof ShardChannelsApartError) this.#onApart(error);
    if (isFinal(error)) throw new SubscriberRefusedError(this.#config.name, error);
    const nextMs = backoffMs(failures, Math.random());
    this.#dialling.error = error;
    this.#config.heir.onRetry(failures, error, nextMs);
    await this.#dialling.pause(nextMs);
  }

  /** A subscriber that was served once waits until they are together again. */
  #onApart(error: ShardChannelsApartError): void {
    if (!this.#config.wanted.refuseNew('ssubscribe', error) && !this.#line) throw error;
  }

  // No await in here: the reason, the gap and the messages are of one moment.
  #adopt(next: Line<M>, { isSeamless, since }: HandedOver): void {
    const { heir } = this.#config;
    const old = this.#line;
    // A millisecond of the clock is long.
    const gap: Gap | undefined =
      old && !isSeamless ? { type: 'gap', after: this.provenAt - 1, before: since + 1, reason: this.#reason ?? 'closed' } : undefined;
    this.#stopLooking();
    old?.cut();
    this.#line = this.#dialling.release();
    this.#reason = undefined;
    this.#adoptedAt = now();
    this.#since = since;
    this.#look(next, since);
    heir.onSucceeded(next.epoch, gap);
    next.take((message) => heir.onMessage(message));
    if (this.#dialling.isOver) return;
    heir.onUp(next.epoch, gap);
    if (next.ended) this.replace('closed', next.ended);
    else if (next.moved) this.#onMoved(next.moved);
    // Also for what was wanted since it subscribed.
    else void this.sync();
  }

  #look(line: Line<M>, since: number): void {
    const { name, options, heir } = this.#config;
    const rules = heartbeatOf(options);
    const patient = {
      line,
      onPing: (rttMs: number) => heir.onPing(line.epoch, rttMs),
      onSilence: (silentMs: number) => this.replace('heartbeat-timeout', new HeartbeatTimeoutError(name, silentMs, rules.pongMs)),
    };
    this.#pulse = new Pulse(patient, rules, since);
    const { publish, everyMs = rules.pingMs } = options.deliveryProbe ?? {};
    if (publish) {
      const onStarving = (missed: number) => this.replace('delivery-probe', new DeliveryStoppedError(name, missed, everyMs));
      this.#probe = new Probe(line, { channel: this.#dialling.channel, publish, everyMs, provenAt: since, onStarving });
    }
    line.events = {
      onEnd: (error) => this.replace('closed', error),
      onMoved: (error) => this.#onMoved(error),
    };
  }

  /** Whatever answers and comes back from now on proves nothing of what is gone. */
  #onMoved(error: Error): void {
    this.#stopLooking();
    this.replace('moved', error);
  }

  #stopLooking(): void {
    this.#pulse?.stop();
    this.#probe?.stop();
  }
}
