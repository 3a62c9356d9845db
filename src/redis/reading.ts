/**
 * Commands that change nothing, and so may be executed twice: those that Redis flags as `readonly` (by test: in both
 * versions of ioredis), and three that have no key. A command that a module adds is not among them.
 */
const READING = new Set(
  `arcount arget argetrange argrep arinfo arlastitems arlen armget arnext arop arscan
  bitcount bitfield_ro bitpos dbsize digest dump echo eval_ro evalsha_ro exists expiretime fcall_ro
  geodist geohash geopos georadius_ro georadiusbymember_ro geosearch get getbit getrange
  hexists hexpiretime hget hgetall hkeys hlen hmget hpexpiretime hpttl hrandfield hscan hstrlen httl hvals
  keys lcs lindex llen lolwut lpos lrange mget pexpiretime pfcount ping pttl randomkey scan scard
  sdiff sdiffcard sinter sintercard sismember smembers smismember sort_ro srandmember sscan strlen substr sunion sunioncard
  time touch ttl type vcard vdim vemb vgetattr vinfo vismember vlinks vrandmember vrange vsim
  xlen xpending xrange xread xrevrange
  zcard zcount zdiff zinter zintercard zlexcount zmscore zrandmember zrange zrangebylex zrangebyscore zrank
  zrevrange zrevrangebylex zrevrangebyscore zrevrank zscan zscore zunion`.split(/\s+/),
);

export function isReading(command: string): boolean {
  return READING.has(command.toLowerCase());
}
