// Set-up step of the tests, the demo and the benches: `node dev/install-servers.mjs redis postgres` sees to it that these
// servers can be started, where that needs no question: on Debian and Ubuntu, as root. Elsewhere it only says so; who
// needs a server lists the ways to get one, and tests of Postgres and those in a browser are skipped without.
import { spawnSync } from 'node:child_process';
import { existsSync, rmSync, writeFileSync } from 'node:fs';

// While it exists and says 101, Debian's packages do not start the services that they install.
const POLICY = '/usr/sbin/policy-rc.d';

const SERVERS = {
  redis: {
    package: 'redis-server',
    isThere: () => Boolean(process.env.REDIS_URL) || succeeds('sh', ['-c', 'command -v redis-server || command -v valkey-server']),
  },
  postgres: {
    package: 'postgresql',
    isThere: () => succeeds('sh', ['-c', 'command -v postgres || ls /usr/lib/postgresql/*/bin/postgres']),
  },
  // A browser, not a server: it shows the pages of examples/http-server and examples/fan-out.
  chromium: {
    package: 'chromium',
    isThere: () => succeeds('sh', ['-c', 'command -v chromium']),
  },
};

const wanted = process.argv.slice(2).map((name) => SERVERS[name] ?? unknown(name));
const lacking = () => wanted.filter(({ isThere }) => !isThere()).map((server) => server.package);
const missing = lacking();
if (missing.length > 0) install(missing);

function install(packages) {
  const names = packages.join(' and ');
  if (!existsSync('/etc/debian_version') || process.getuid?.() !== 0) {
    return note(`${names} not found; install it to run what needs it, or set REDIS_URL for Redis`);
  }
  note(`installing ${names} from the packages of this system, without starting the service`);
  withoutServices(() => {
    // One by one: where one cannot be had, the other can.
    for (const name of packages) aptInstall(name) || (succeeds('apt-get', ['update', '-q']) && aptInstall(name));
  });
  const failed = lacking();
  if (failed.length > 0) note(`${failed.join(' and ')} could not be installed; see above`);
}

function aptInstall(name) {
  return succeeds('apt-get', ['install', '-q', '-y', '--no-install-recommends', name]);
}

function succeeds(command, args) {
  // Its output goes to stderr: whoever reads the stdout of `npm run -s demo -- --json` finds JSON alone.
  const output = command === 'sh' ? 'ignore' : 2;
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  return spawnSync(command, args, { stdio: ['ignore', output, output], env }).status === 0;
}

function withoutServices(fn) {
  if (existsSync(POLICY)) return fn();
  // A handler delays the signal until fn is over and the policy removed; apt-get itself is interrupted at once.
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => process.exit(1));
  writeFileSync(POLICY, '#!/bin/sh\nexit 101\n', { mode: 0o755, flag: 'wx' });
  try {
    return fn();
  } finally {
    rmSync(POLICY);
  }
}

function unknown(name) {
  throw new Error(`install-servers: no server is called "${name}"; there are ${Object.keys(SERVERS).join(', ')}`);
}

function note(text) {
  console.error(`install-servers: ${text}`);
}
