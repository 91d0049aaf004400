import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { provideGuestImage } from './guest-image.mjs'
import { hasProgram, ROOT, runQuiet } from './run.mjs'

export const GUEST_PACKAGES = [
  'qemu-system-x86',
  'mmdebstrap',
  'busybox-static',
  'e2fsprogs',
  'iproute2',
  'cpio',
  'kmod',
]
const NAMED_CHECKS = join(ROOT, 'test/guest/named-checks.txt')
const APT_TIMEOUT_MS = 2 * 60_000
const PROBE_TIMEOUT_MS = 20_000

/** A network namespace that ends with what runs in it: the daemons, the guest and the links between them. */
const IN_OWN_NETWORK = ['unshare', '--net', 'sh', '-c', 'ip link set lo up && exec "$@"', 'sh']

async function whyNot() {
  if (process.platform !== 'linux' || process.arch !== 'x64') return 'needs Linux on x86-64'
  if (process.getuid() !== 0) return 'needs root, for a network namespace and the image'
  if (!hasProgram('apt-get')) return 'needs Debian, whose packages the image is made of'
  if (!existsSync('/dev/net/tun')) return 'needs /dev/net/tun'
  const tap = [...IN_OWN_NETWORK, 'ip', 'tuntap', 'add', 'hfg0', 'mode', 'tap']
  const { code, output } = await runQuiet(tap[0], tap.slice(1), { timeoutMs: PROBE_TIMEOUT_MS })
  return code === 0 ? null : `needs network namespaces and tap devices: ${output.trim()}`
}

/**
 * What the guest tests need once GUEST_PACKAGES are there: the image, and the command that goes before theirs.
 * @returns {Promise<{reason: string} | {reason: null, prefix: string[], env: Record<string, string>, built: boolean}>}
 */
export async function provideGuest() {
  const reason = await whyNot()
  if (reason !== null) return { reason }
  try {
    await runQuiet('apt-get', ['update', '-qq'], { timeoutMs: APT_TIMEOUT_MS })
    const { directory, built } = await provideGuestImage()
    return { reason: null, prefix: IN_OWN_NETWORK, env: { GUEST_IMAGE: directory }, built }
  } catch (error) {
    return { reason: `no image: ${error.message}` }
  }
}

/** Checks that test/guest/named-checks.txt names and that did not pass, whatever else ran. */
export function missingChecks(passedNames) {
  const named = readFileSync(NAMED_CHECKS, 'utf8').split('\n').filter(Boolean)
  return named.filter(name => !passedNames.includes(name))
}
