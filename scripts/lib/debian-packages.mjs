import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { hasProgram, runQuiet } from './run.mjs'

const INSTALL_TIMEOUT_MS = 5 * 60_000

/** Where Debian and Ubuntu put it, by architecture. */
const LIBRARIES = { x64: '/usr/lib/x86_64-linux-gnu', arm64: '/usr/lib/aarch64-linux-gnu' }
const LIBISAL = [`${LIBRARIES[process.arch] ?? '/usr/lib'}/libisal.so.2`]

/** A file or program whose presence says that the package is there, whoever installed it. */
const EVIDENCE = {
  'libiscsi-bin': ['iscsi-ls', 'iscsi-inq', 'iscsi-perf', 'iscsi-test-cu'],
  'libiscsi-dev': ['/usr/include/iscsi/iscsi.h'],
  'qemu-utils': ['qemu-img', 'qemu-io', 'qemu-nbd'],
  'qemu-system-common': ['qemu-storage-daemon'],
  'qemu-block-extra': [],
  e2fsprogs: ['mkfs.ext4', 'e2fsck'],
  'libnbd-bin': ['nbdinfo', 'nbdcopy'],
  fio: ['fio'],
  'gnutls-bin': ['psktool'],
  openssl: ['openssl'],
  nbdkit: ['nbdkit'],
  'nbd-server': ['nbd-server'],
  tgt: ['tgtd', 'tgtadm'],
  istgt: ['istgt'],
  libisal2: LIBISAL,
  gcc: ['gcc'],
  'libc6-dev': ['/usr/include/stdio.h'],
  'qemu-system-x86': ['qemu-system-x86_64'],
  mmdebstrap: ['mmdebstrap'],
  'busybox-static': ['/bin/busybox'],
  iproute2: ['ip'],
  'etcd-server': ['etcd'],
  'tgt-rbd': ['/usr/lib/tgt/backing-store/bs_rbd.so'],
  'ceph-mon': ['ceph-mon', 'monmaptool'],
  'ceph-mgr': ['ceph-mgr'],
  'ceph-osd': ['ceph-osd'],
  'ceph-common': ['ceph', 'rbd'],
  'glusterfs-server': ['glusterd', 'glusterfsd'],
  'glusterfs-client': ['glusterfs'],
  cpio: ['cpio'],
  kmod: ['depmod'],
}

function qemuHasIscsi() {
  const help = spawnSync('qemu-img', ['--help'], { encoding: 'utf8' })
  return help.status === 0 && /\biscsi\b/.test(help.stdout)
}

function isPresent(name) {
  if (name === 'qemu-block-extra') return qemuHasIscsi()
  return EVIDENCE[name].every(item => (item.startsWith('/') ? existsSync(item) : hasProgram(item)))
}

/**
 * Installs what is missing of `names`, when root and apt-get is there.
 * @param {string[]} names
 * @returns {Promise<{missing: string[], reason: string | null}>} what is still missing, and why
 */
export async function provideDebianPackages(names) {
  const absent = names.filter(name => !isPresent(name))
  if (absent.length === 0) return { missing: [], reason: null }
  const command = `apt-get install -y ${absent.join(' ')}`
  if (process.getuid?.() !== 0 || !hasProgram('apt-get')) {
    return { missing: absent, reason: `needs ${absent.join(', ')}; as root: ${command}` }
  }
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' }
  await runQuiet('apt-get', ['update', '-qq'], { timeoutMs: INSTALL_TIMEOUT_MS, env })
  const args = ['install', '-qq', '-y', '--no-install-recommends', ...absent]
  const installed = await runQuiet('apt-get', args, { timeoutMs: INSTALL_TIMEOUT_MS, env })
  const missing = absent.filter(name => !isPresent(name))
  if (missing.length === 0) return { missing, reason: null }
  const lastLine = installed.output.trim().split('\n').at(-1)
  return { missing, reason: `${command} failed: ${lastLine}` }
}
