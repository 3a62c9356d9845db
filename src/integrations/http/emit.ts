import { EventEmitter } from 'node:events';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { enterFrame, type Frame } from '../../context.ts';

const FRAME = Symbol('frame');
const EMIT = Symbol('emit');

type Emit = (this: Framed, ...args: unknown[]) => boolean;

/** A request or response whose listeners run in a frame. */
interface Framed {
  emit: Emit;
  [FRAME]?: Frame;
  [EMIT]?: Emit;
}

/** Has the listeners of an emitter run in a frame, whenever they were added; body parsers and streams call from outside. */
export function emitIn(frame: Frame, emitter: IncomingMessage | ServerResponse): void {
  const framed = emitter as Framed;
  // Of a response that another request has already, as within an internal redirect.
  if (framed[FRAME]) return;
  framed[FRAME] = frame;
  framed[EMIT] = framed.emit;
  framed.emit = emitInside;
}

// One for all requests: V8 keeps whatever has a function of its own as a property through the next scavenges, which would
// make a request twice as dear on Node 26.
function emitInside(this: Framed, ...args: unknown[]): boolean {
  const { [FRAME]: frame, [EMIT]: emit = EventEmitter.prototype.emit as Emit } = this;
  return frame ? (enterFrame(frame, Reflect.apply, emit, this, args) as boolean) : emit.apply(this, args);
}
