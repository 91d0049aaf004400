/** RFC 4291 §2.5.5.2. */
const MAPPED_PREFIX = '::ffff:'

/** `ip:port` or `[ip6]:port`. A socket that is closed already has neither. IPv4 on a dual-stack listener is told as IPv4. */
export function hostAndPort(host = '', port = 0): string {
  const plain = host.startsWith(MAPPED_PREFIX) ? host.slice(MAPPED_PREFIX.length) : host
  return plain.includes(':') ? `[${plain}]:${port}` : `${plain}:${port}`
}
