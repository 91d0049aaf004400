import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { provideDebianPackages } from './debian-packages.mjs'
import { provideGuestImage } from './guest-image.mjs'
import { addUpSections, guestSections, runGuestSections } from './guest-sections.mjs'
import { hasProgram, ROOT, runQuiet } from './run.mjs'

const PACKAGES = [
  'qemu-system-x86',
  'mmdebstrap',
  'busybox-static',
  'e2fsprogs',
  'iproute2',
  'cpio',
  'kmod',
  'etcd-server',
]
const NAMED_CHECKS = join(ROOT, 'test/guest/named-checks.txt')
const APT_TIMEOUT_MS = 2 * 60_000
const PROBE_TIMEOUT_MS = 20_000

/** A network namespace that ends with what runs in it: the daemons, the guest and the links between them. */
const IN_OWN_NETWORK = ['unshare', '--net', 'sh', '-c', 'ip link set lo up && exec "$@"', 'sh']

/** What no package can give. */
function whyNever() {
  if (process.platform !== 'linux' || process.arch !== 'x64') return 'needs Linux on x86-64'
  if (process.getuid() !== 0) return 'needs root, for a network namespace and the image'
  if (!hasProgram('apt-get')) return 'needs Debian, whose packages the image is made of'
  return existsSync('/dev/net/tun') ? null : 'needs /dev/net/tun'
}

async function whyNoNetwork() {
  const [program, ...args] = [...IN_OWN_NETWORK, 'ip', 'tuntap', 'add', 'hfg0', 'mode', 'tap']
  const { code, output } = await runQuiet(program, args, { timeoutMs: PROBE_TIMEOUT_MS })
  return code === 0 ? null : `needs network namespaces and tap devices: ${output.trim()}`
}

/**
 * What the guest tests need: packages, the image, and the command that goes before theirs. `never` is of a machine
 * that cannot have it, whatever is installed.
 * @returns {Promise<{reason: string, never: boolean} | {reason: null, prefix: string[], env: Record<string, string>}>}
 */
export async function provideGuest() {
  const impossible = whyNever()
  if (impossible !== null) return { reason: impossible, never: true }
  const packages = await provideDebianPackages(PACKAGES)
  if (packages.reason !== null) return { reason: packages.reason, never: false }
  const unreachable = await whyNoNetwork()
  if (unreachable !== null) return { reason: unreachable, never: true }
  try {
    await runQuiet('apt-get', ['update', '-qq'], { timeoutMs: APT_TIMEOUT_MS })
    return { reason: null, prefix: IN_OWN_NETWORK, env: { GUEST_IMAGE: await provideGuestImage() } }
  } catch (error) {
    return { reason: `no image: ${error.message}`, never: false }
  }
}

/** Checks that test/guest/named-checks.txt names and that are not among these. */
export function missingChecks(names) {
  const named = readFileSync(NAMED_CHECKS, 'utf8').split('\n').filter(Boolean)
  return named.filter(name => !names.includes(name))
}

/**
 * The part `guest` of npm test: all sections, and every named check must have passed.
 * @returns {Promise<{reason: string, never: boolean} | {passed: number, failed: number, skipped: object[], output: string, notes: string[]}>}
 */
export async function runGuestPart(limitMs) {
  const guest = await provideGuest()
  if (guest.reason !== null) return guest
  const sections = await runGuestSections(guest, guestSections(), { limitMs })
  const { passed, failed, skipped, passedNames } = addUpSections(sections)
  const missing = missingChecks(passedNames)
  return {
    passed,
    failed: failed > 0 ? failed : missing.length,
    skipped,
    output: [
      ...sections.filter(({ code }) => code !== 0).map(({ output }) => output),
      ...missing.map(name => `named check that did not pass: ${name}`),
    ].join('\n'),
    notes: sections.map(({ file, seconds }) => `${seconds.toFixed(0).padStart(5)} s  ${file}`),
  }
}
