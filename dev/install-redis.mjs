// Set-up step of the tests, the demo and the benches: sees to it that a Redis server can be started, where that needs
// no question: on Debian and Ubuntu, as root. Elsewhere it only says so; who needs the server lists the ways to get one.
import { spawnSync } from 'node:child_process';
import { existsSync, rmSync, writeFileSync } from 'node:fs';

// While it exists and says 101, Debian's packages do not start the services that they install.
const POLICY = '/usr/sbin/policy-rc.d';

if (!hasRedis()) install();

function hasRedis() {
  return Boolean(process.env.REDIS_URL) || succeeds('sh', ['-c', 'command -v redis-server || command -v valkey-server']);
}

function install() {
  if (!existsSync('/etc/debian_version') || process.getuid?.() !== 0) {
    return note('no redis-server on the PATH and no REDIS_URL; install one of them to run what needs Redis');
  }
  note('installing redis-server from the packages of this system, without starting the service');
  const installed = withoutServices(() => aptInstall() || (succeeds('apt-get', ['update', '-q']) && aptInstall()));
  if (!installed || !hasRedis()) note('redis-server could not be installed; see above');
}

function aptInstall() {
  return succeeds('apt-get', ['install', '-q', '-y', '--no-install-recommends', 'redis-server']);
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

function note(text) {
  console.error(`install-redis: ${text}`);
}
