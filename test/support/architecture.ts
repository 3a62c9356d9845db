import { dirname, join } from 'node:path/posix';
import { parseAst } from 'vitest/node';

/** Source files by their path below `src/`. */
export type Sources = ReadonlyMap<string, string>;

/** Who may import whom. A part may always import itself; whatever is not listed is forbidden. */
const CORE = ['redact.ts', 'printable.ts', 'errors.ts', 'clock.ts', 'context.ts', 'channels.ts', 'list.ts', 'options.ts', 'backoff.ts'];
const PARTS: Readonly<Record<string, readonly string[]>> = {
  'redact.ts': [],
  'printable.ts': ['redact.ts'],
  'errors.ts': ['redact.ts'],
  'clock.ts': [],
  'context.ts': [],
  'channels.ts': [],
  'list.ts': [],
  'backoff.ts': [],
  'options.ts': ['errors.ts', 'redact.ts'],
  scope: CORE,
  pool: [...CORE, 'scope'],
  redis: [...CORE, 'scope', 'pool'],
  pubsub: [...CORE, 'scope', 'pool', 'redis'],
  source: [...CORE, 'scope'],
  inspect: [...CORE, 'scope', 'pool'],
  monitor: [...CORE, 'pool', 'redis', 'inspect', 'monitor/web/page'],
  // Runs in a browser, and is served as it is.
  'monitor/web/page': [],
  testing: [...CORE, 'scope', 'pool'],
  // Never one another: each has an entry point of its own, so that what it adapts stays optional.
  integrations: [...CORE, 'scope', 'pool'],
  // Nothing that needs ioredis: it is optional.
  'index.ts': [...CORE, 'scope', 'pool', 'source'],
};

/** Files that may import less than their part may. */
const FILES: Readonly<Record<string, readonly string[]>> = {
  'pool/scheduler.ts': ['errors.ts', 'clock.ts', 'list.ts', 'pool'],
};

/** Each outside package comes in through one door, values and types alike. Those not listed do not come in. */
const DOORS: Readonly<Record<string, string>> = {
  'generic-pool': 'pool/ledger.ts',
  'node:async_hooks': 'context.ts',
  'node:diagnostics_channel': 'channels.ts',
  ioredis: 'redis/ioredis.ts',
  '@opentelemetry/api': 'integrations/otel/api.ts',
};

const CLOCK = 'clock.ts';
/** In a browser, which has timers of its own; `clock.ts` cannot be loaded there. */
const PAGE = 'monitor/web/page';
/** Decides in one go, without a moment in which somebody else runs. */
const SYNCHRONOUS = ['pool/scheduler.ts'];
const MOST_LINES = 250;
/** One list of many small things, which nobody reads from top to bottom. */
const LISTS = ['errors.ts'];
/** Words of other libraries for what has a name of its own here. */
const FOREIGN_WORDS = /^(?:borrow|checkin|checkout|loan|nursery|reactor|shutdown|terminate|ttl)(?:s|ed|er)?$/i;

/** Exports that users asked for by a foreign word: BullMQ, Node and Kubernetes say it of what this function does, and `close` does less. */
const ASKED_FOR: Readonly<Record<string, string>> = { 'integrations/bullmq/shutdown.ts': 'shutdown' };

/** Everything in which the sources break the architecture, as `file: what`; empty when they keep it. */
export function offences(sources: Sources): readonly string[] {
  const perFile = [...sources].flatMap(([file, text]) => offencesOf(file, text).map((what) => `${file}: ${what}`));
  return [...perFile, ...cycles(sources).map((circle) => `${circle[0]}: import circle ${circle.join(' → ')}`)];
}

function offencesOf(file: string, text: string): readonly string[] {
  const nodes = [...walk(parse(text), false)];
  return [
    ...wrongImports(file, importsIn(nodes)),
    ...tooLong(file, text),
    ...nodes.flatMap((found) => [
      ...forbiddenEverywhere(file, found),
      ...forbiddenOutsideClock(file, found),
      ...forbiddenInScheduler(file, found),
    ]),
  ];
}

function wrongImports(file: string, imports: readonly string[]): readonly string[] {
  const part = partOf(file);
  const allowed = FILES[file] ?? PARTS[part] ?? PARTS[part.split('/')[0] ?? ''];
  if (!allowed) return [`belongs to no part of the architecture (${part})`];
  return imports.flatMap((name) => {
    if (!name.startsWith('.') && part === PAGE) return [`imports ${name}, which does not come into a page`];
    if (!name.startsWith('.')) return isOutsideAllowed(file, name) ? [] : [`imports ${name}, which comes in ${doorOf(name)}`];
    const other = partOf(join(dirname(file), name));
    return other === part || allowed.includes(other) ? [] : [`imports ${other}, which ${part} may not`];
  });
}

/** The folder below `src/`, or the file that stands there alone. Each integration is a part of its own, and so is the page. */
function partOf(file: string): string {
  if (dirname(file) === PAGE) return PAGE;
  return file
    .split('/')
    .slice(0, file.startsWith('integrations/') ? 2 : 1)
    .join('/');
}

function isOutsideAllowed(file: string, name: string): boolean {
  const door = DOORS[name];
  return door === undefined ? name.startsWith('node:') : door === file;
}

function doorOf(name: string): string {
  return DOORS[name] === undefined ? 'nowhere' : `through ${DOORS[name]} alone`;
}

function tooLong(file: string, text: string): readonly string[] {
  const lines = text.trimEnd().split('\n').length;
  return lines > MOST_LINES && !LISTS.includes(file) ? [`has ${lines} lines, more than ${MOST_LINES}`] : [];
}

function forbiddenEverywhere(file: string, { node, inFunction }: Found): readonly string[] {
  if (node.type === 'TSAnyKeyword') return ['says any'];
  if (node.type === 'ExportDefaultDeclaration') return ['has a default export'];
  if (!inFunction && isAwait(node)) return ['awaits at its top level, which require() cannot load'];
  if (node.type === 'Identifier' && node.name === 'console') return ['writes to the console'];
  if (node.type === 'FunctionDeclaration' && !inFunction && declaredName(node) === ASKED_FOR[file]) return [];
  const foreign = wordsOf(declaredName(node)).find((word) => FOREIGN_WORDS.test(word));
  return foreign === undefined ? [] : [`calls something «${foreign}»; see the words of CONTRIBUTING.md`];
}

const TIMER_NAMES = ['setTimeout', 'setInterval', 'setImmediate', 'performance'];

function forbiddenOutsideClock(file: string, { node }: Found): readonly string[] {
  if (file === CLOCK || dirname(file) === PAGE) return [];
  if (node.type === 'Identifier' && TIMER_NAMES.includes(String(node.name))) return [`uses ${node.name}, which belongs to ${CLOCK}`];
  return isMember(node, 'Date', 'now') ? [`uses Date.now, which belongs to ${CLOCK}`] : [];
}

function forbiddenInScheduler(file: string, { node }: Found): readonly string[] {
  if (!SYNCHRONOUS.includes(file)) return [];
  if (node.async === true) return ['has an async function, but must decide in one go'];
  return node.type === 'Identifier' && node.name === 'Promise' ? ['uses Promise, but must decide in one go'] : [];
}

/** Import circles among the files, each as the path that leads back to its first file. */
function cycles(sources: Sources): readonly (readonly string[])[] {
  const found: (readonly string[])[] = [];
  const done = new Set<string>();
  const visit = (file: string, path: readonly string[]) => {
    if (path.includes(file)) found.push([...path.slice(path.indexOf(file)), file]);
    if (path.includes(file) || done.has(file)) return;
    for (const other of loadedBy(file, sources.get(file) ?? '')) visit(other, [...path, file]);
    done.add(file);
  };
  for (const file of sources.keys()) visit(file, []);
  return found;
}

/** Files that are loaded with this one. Types are gone by then, so that two files may know each other's types. */
function loadedBy(file: string, text: string): readonly string[] {
  const values = [...walk(parse(text), false)].filter(({ node }) => !isTypeOnly(node));
  return importsIn(values).flatMap((name) => (name.startsWith('.') ? [join(dirname(file), name)] : []));
}

// ---- The syntax tree (ESTree with the TypeScript nodes), without types: it comes from a parser, not from us.

type Node = Readonly<Record<string, unknown>> & { readonly type: string };

interface Found {
  readonly node: Node;
  /** Whether the node stands in the body of a function. */
  readonly inFunction: boolean;
}

function parse(text: string): Node {
  return parseAst(text, { lang: 'ts' }) as unknown as Node;
}

function* walk(node: Node, inFunction: boolean): Generator<Found> {
  yield { node, inFunction };
  const within = inFunction || /Function/.test(node.type);
  for (const child of Object.values(node).flat()) {
    if (isNode(child)) yield* walk(child, within);
  }
}

function isNode(value: unknown): value is Node {
  return typeof value === 'object' && value !== null && 'type' in value && typeof value.type === 'string';
}

/** Names of the modules that are imported: by declarations, `import()` and types of the form `import('x').Y`. */
function importsIn(nodes: readonly Found[]): readonly string[] {
  const sources = nodes.map(({ node }) => (/Import|^Export/.test(node.type) ? node.source : undefined));
  return sources.flatMap((source) => (isNode(source) && typeof source.value === 'string' ? [source.value] : []));
}

function isTypeOnly(node: Node): boolean {
  if (node.type === 'TSImportType' || node.importKind === 'type' || node.exportKind === 'type') return true;
  const { specifiers } = node;
  if (node.type !== 'ImportDeclaration' || !Array.isArray(specifiers) || specifiers.length === 0) return false;
  return specifiers.every((specifier) => isNode(specifier) && specifier.importKind === 'type');
}

function isAwait(node: Node): boolean {
  return node.type === 'AwaitExpression' || (node.type === 'ForOfStatement' && node.await === true);
}

function isMember(node: Node, object: string, property: string): boolean {
  return node.type === 'MemberExpression' && nameOf(node.object) === object && nameOf(node.property) === property;
}

/** The name that a declaration, or a member of a class or interface, introduces. */
function declaredName(node: Node): string {
  if (/Declarat|^TS(?:Interface|TypeAlias)/.test(node.type)) return nameOf(node.id);
  return /^(?:Method|Property)Definition$|^TS(?:Property|Method)Signature$/.test(node.type) ? nameOf(node.key) : '';
}

function nameOf(node: unknown): string {
  return isNode(node) && typeof node.name === 'string' ? node.name : '';
}

function wordsOf(name: string): readonly string[] {
  return name.split(/(?<=[a-z\d])(?=[A-Z])|_/);
}
