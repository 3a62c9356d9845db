import { NotDecodableError } from '../errors.ts';
import type { Message } from './messages.ts';
import { Seldom } from './seldom.ts';

/** Decodes messages of JSON once for all who hear them, and tells, seldom, of those that are none. */
export class Decoding<M> {
  #skipped = 0;
  #channel = '';
  readonly #seldom: Seldom;

  constructor(subscriber: string, report: (error: NotDecodableError) => void) {
    this.#seldom = new Seldom(() => {
      report(new NotDecodableError(subscriber, this.#channel, this.#skipped));
      this.#skipped = 0;
    });
  }

  /** @returns nothing where it is no JSON: it is skipped. */
  decode(message: Message<unknown>): Message<M> | undefined {
    try {
      return { ...message, message: JSON.parse(message.message as string) as M };
    } catch {
      // Not the error: it quotes the message.
      this.#skipped++;
      this.#channel = message.channel;
      this.#seldom.note();
      return undefined;
    }
  }

  /** Nothing more is decoded: tells of what was skipped. */
  end(): void {
    this.#seldom.flush();
  }
}
