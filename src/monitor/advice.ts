import { ConnectTimeoutError, ServerFullError } from '../errors.ts';
import { printable } from '../printable.ts';

/** A server as it may be shown: host and port, or the path of its Unix socket. ioredis looks for them in the query, too. */
export function addressOf(url: string): string {
  const { hostname, port, searchParams } = new URL(url);
  const host = hostname || searchParams.get('host') || '127.0.0.1';
  return printable(searchParams.get('path') || `${host}:${port || searchParams.get('port') || '6379'}`);
}

/** By what the protocol of the URL, a space, its code and its message match: what is the matter, and what to do. */
const ADVICE: readonly (readonly [RegExp, string])[] = [
  [/ECONNREFUSED/, 'nothing listens there. Start Redis, or give its address: scoped-pool monitor redis://host:port'],
  [/ENOTFOUND|EAI_AGAIN/, 'its host is not known. Correct the name, or see whether the network is there'],
  [/ENETUNREACH|EHOSTUNREACH|ETIMEDOUT/, 'there is no way to it. See whether the network and its firewalls let you through'],
  [
    /WRONGPASS|NOAUTH|ERR AUTH|ERR Client sent AUTH|invalid (?:username|password)/i,
    'it refuses user or password. Give those that it knows: redis://user:password@host:port, or REDIS_URL',
  ],
  [/NOPERM/, 'its user may not look. Allow it: ACL SETUSER <name> +client|list +client|setname +info +ping'],
  [
    /alert (?:certificate required|bad certificate|handshake failure)/i,
    'it speaks TLS, but refuses ours: it may want to be shown a certificate, and the monitor has none. See its tls-auth-clients',
  ],
  [
    /wrong version number|ERR_SSL|EPROTO|packet length too long/i,
    'it does not speak TLS. Write redis:// instead of rediss://, or give the port on which it does',
  ],
  [/altnames/, 'its certificate is for another host. Write the name or the address for which it is'],
  [/certificate (?:has expired|is not yet valid)/, 'its certificate is out of date. Renew it, or set the clock of this machine right'],
  [
    /self[- ]signed|unable to (?:verify|get)|CERT_|ERR_TLS/i,
    'its certificate is not trusted. Name that of its authority: NODE_EXTRA_CA_CERTS=file.pem',
  ],
  [/DENIED/, 'it is in protected mode, and lets in who is on its own machine. Give it a password, or watch it from there'],
  [/ERR (?:DB index|invalid DB)/, 'it has no such database. Leave the database out of the URL'],
  [/ERR unknown (?:command|subcommand)/i, 'it has no CLIENT LIST or INFO. See whether that is a Redis, and not a proxy'],
  [/Unknown RESP type|Protocol error, got/, 'it does not answer as Redis does. See whether host and port are right'],
  [/LOADING /, 'it loads its data, and tells nothing until it has. Try again then'],
  // It had let us in.
  [/closed by the server/, 'it hung up. See its log'],
  [
    /^rediss: .*(?:closed|ECONNRESET|EPIPE|isn't writeable)/i,
    'it hung up. See its log, and whether its maxclients are there: over TLS it does not say so',
  ],
  [/closed|ECONNRESET|EPIPE|isn't writeable/i, 'it hung up. See its log; if it speaks TLS, write rediss:// instead of redis://'],
];

/** Why a server cannot be watched, and what to do, in one line. */
export function adviceOn(error: unknown, url: string): string {
  const server = `Redis at ${addressOf(url)}`;
  if (error instanceof ServerFullError) return `${server}: it lets no more connections in. Close some, or raise its maxclients`;
  const { protocol } = new URL(url);
  if (error instanceof ConnectTimeoutError) return `${server}: it does not answer. ${TOO_LATE[protocol] ?? ''}`;
  const { code = '', message = String(error) } = error instanceof Error ? (error as NodeJS.ErrnoException) : {};
  const said = firstOf(error) ?? message;
  const [, advice] = ADVICE.find(([pattern]) => pattern.test(`${protocol} ${code} ${said}`)) ?? [];
  // To us, that is, and not to ioredis.
  const shown = printable(withoutSecrets(said.replace(' Please report this.', ''), url));
  return advice === undefined ? `${server}: ${shown}` : `${server}: ${advice} (${shown})`;
}

/** A server may quote what it was sent: `ERR unknown command 'auth', with args beginning with: 'ann' 'hunter2'`. */
function withoutSecrets(text: string, url: string): string {
  const { username, password, searchParams } = new URL(url);
  const inQuery = [...searchParams].flatMap(([name, value]) => (/(?:username|password)$/i.test(name) ? [value] : []));
  const given = [username, password].flatMap((part) => [part, decodeURIComponent(part)]);
  const secrets = [...given, ...inQuery].filter((secret) => secret !== '');
  // The longest first: one may be a part of another.
  return secrets.sort((a, b) => b.length - a.length).reduce((left, secret) => left.replaceAll(secret, '***'), text);
}

const SEE = 'See whether host and port are right, and whether it is blocked';
/** By protocol: a server waits for more when it is spoken to in the other one. */
const TOO_LATE: Readonly<Record<string, string>> = {
  'redis:': `${SEE}; if it speaks TLS, write rediss:// instead of redis://`,
  'rediss:': `${SEE}; if it does not speak TLS, write redis:// instead of rediss://`,
};

/** Where a name has several addresses, Node tries them all and its error says nothing itself. */
function firstOf(error: unknown): string | undefined {
  return error instanceof AggregateError && error.errors[0] instanceof Error ? error.errors[0].message : undefined;
}
