import { EventEmitter } from 'node:events';
import { beforeEach, describe, expect, it } from 'vitest';
import { Listeners } from '../../src/pubsub/listening.ts';
import { until } from '../support/until.ts';

describe('listeners', () => {
  let emitter: EventEmitter;
  let reported: unknown[];
  let listeners: Listeners;

  beforeEach(() => {
    emitter = new EventEmitter();
    reported = [];
    listeners = new Listeners(emitter, (error, from) => void reported.push([error, from]));
  });

  it('are called with what is told and nothing else, as the emitter would', () => {
    const called: unknown[] = [];
    emitter.on('message', function (this: unknown, ...args: unknown[]) {
      called.push([this, args]);
    });
    listeners.tell('message', 1);
    expect(called).toEqual([[emitter, [1]]]);
  });

  it('are called that were there when the telling began, one that listens once no second time', () => {
    const called: string[] = [];
    const last = () => void called.push('last');
    emitter.once('message', () => {
      called.push('first');
      emitter.off('message', last);
      emitter.on('message', () => void called.push('added'));
    });
    emitter.on('message', last);
    listeners.tell('message', 1);
    expect(called.splice(0)).toEqual(['first', 'last']);
    listeners.tell('message', 2);
    expect(called).toEqual(['added']);
  });

  it('are called though others throw or reject, which handler-error is told with the name of the event', async () => {
    const told: unknown[] = [];
    emitter.on('handler-error', (...args) => void told.push(args));
    emitter.on('message', () => {
      throw 'thrown';
    });
    emitter.on('message', async () => Promise.reject('rejected'));
    emitter.on('message', (message) => void told.push(message));
    listeners.tell('message', 1);
    await until(() => told.length === 3);
    expect(told).toEqual([['thrown', 'message'], 1, ['rejected', 'message']]);
    expect(reported).toEqual([]);
  });

  it('report what handler-error cannot be told', async () => {
    emitter.on('message', () => {
      throw 'of message';
    });
    listeners.tell('message', 1);
    emitter.on('handler-error', () => {
      throw 'thrown';
    });
    emitter.on('handler-error', async () => Promise.reject('rejected'));
    listeners.tell('message', 2);
    await until(() => reported.length === 3);
    expect(reported).toEqual([
      ['of message', 'message'],
      ['thrown', 'handler-error'],
      ['rejected', 'handler-error'],
    ]);
  });
});
