import { createHash } from 'node:crypto'
import {
  chmodSync,
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { homedir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { runQuiet } from './run.mjs'

const STEP_TIMEOUT_MS = 8 * 60_000
/** Images of other versions go after this long: another tree may still use them. */
const KEEP_MS = 7 * 86_400_000
const ROOT_DISK_SIZE = '1200M'
const KERNEL = 'linux-image-amd64'
/** What the guest runs: the stock initiators, and what looks at their disks. */
const GUEST_PACKAGES = [
  'open-iscsi',
  'nbd-client',
  'multipath-tools',
  'udev',
  'sg3-utils',
  'fio',
  'e2fsprogs',
  'xfsprogs',
  'util-linux',
  'mount',
  'procps',
  'kmod',
  'iproute2',
  'dmidecode',
  'lsscsi',
  'python3-os-brick',
]
/** Modules of the guest and, through modules.dep, all that they need. */
const INITRD_MODULES = ['virtio_pci', 'virtio_blk', 'ext4', 'crc32c_generic', 'crc32c_intel']
const ROOT_MODULES = [
  'virtio_net',
  'virtio_rng',
  'iscsi_tcp',
  'libiscsi',
  'scsi_transport_iscsi',
  'sd_mod',
  'sg',
  'dm_multipath',
  'dm_round_robin',
  'dm_service_time',
  'scsi_dh_alua',
  'nbd',
  'loop',
  'xfs',
  'sha1_generic',
  'sha256_generic',
  'sha3_generic',
  'md5',
]

const INITRD_INIT = `#!/bin/busybox sh
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t sysfs sys /sys
/bin/busybox mount -t devtmpfs dev /dev
while read -r module; do /bin/busybox insmod "$module"; done < /modules
tries=0
while [ ! -b /dev/vda ] && [ $tries -lt 100 ]; do /bin/busybox sleep 0.1; tries=$((tries + 1)); done
/bin/busybox mount -t ext4 /dev/vda /root || exec /bin/busybox poweroff -f
/bin/busybox mount --move /dev /root/dev
/bin/busybox umount /sys /proc
exec /bin/busybox switch_root /root /sbin/guest-init
`

/** What it does from there on comes with each test run, as a tar on the second disk. */
const ROOT_INIT = `#!/bin/bash
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t tmpfs -o mode=755 tmpfs /run
mkdir /run/machine
tar -x -C /run/machine -f /dev/vdb
exec /bin/bash /run/machine/init.sh
`

async function done(file, args) {
  const { code, output, timedOut } = await runQuiet(file, args, {
    timeoutMs: STEP_TIMEOUT_MS,
    env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
  })
  if (code === 0) return output
  const last = output.trim().split('\n').slice(-3).join(' | ')
  throw new Error(`${file} ${args[0]} ${timedOut ? 'took too long' : `ended with ${code}`}: ${last}`)
}

const field = (text, name) => new RegExp(`^${name}: (.*)$`, 'm').exec(text)?.[1]

/** The packages of the image with their versions, as apt knows them now, and the name of the real kernel package. */
async function candidates() {
  const shown = await done('apt-cache', ['show', '--no-all-versions', KERNEL, ...GUEST_PACKAGES])
  const versions = shown
    .split(/\n\n+/)
    .filter(stanza => stanza.includes('Package: '))
    .map(stanza => `${field(stanza, 'Package')}=${field(stanza, 'Version')}`)
  const kernel = /^Depends: (linux-image-[^ ]+)/m.exec(shown)?.[1]
  if (kernel === undefined) throw new Error(`apt knows no ${KERNEL}`)
  return { versions: [...new Set(versions)].sort(), kernel }
}

/** The lines that tell mmdebstrap where this machine gets its Debian packages. */
async function debianSources() {
  const format = '$(ORIGIN)|$(REPO_URI)|$(CODENAME)|$(COMPONENT)'
  const targets = await done('apt-get', ['indextargets', '--format', format, 'Created-By: Packages'])
  const lines = targets
    .trim()
    .split('\n')
    .map(line => line.split('|'))
    .filter(([origin, , , component]) => origin === 'Debian' && component === 'main')
    .map(([, uri, codename, component]) => `deb ${uri} ${codename} ${component}`)
  if (lines.length === 0) throw new Error('apt has no Debian archive configured')
  const suite = lines.map(line => line.split(' ')[2]).find(name => !name.includes('-'))
  return { suite, lines: [...new Set(lines)] }
}

/** Files of `wanted` modules and of what they depend on, dependencies first; built-in ones have none. */
function moduleFiles(modulesDirectory, wanted) {
  const dependencies = new Map()
  const byName = new Map()
  for (const line of readFileSync(join(modulesDirectory, 'modules.dep'), 'utf8').trim().split('\n')) {
    const [file, needs] = line.split(':')
    dependencies.set(file, needs.trim().split(' ').filter(Boolean))
    byName.set(/([^/]+)\.ko/.exec(file)[1].replaceAll('-', '_'), file)
  }
  const files = []
  const add = file => {
    if (files.includes(file)) return
    for (const needed of dependencies.get(file)) add(needed)
    files.push(file)
  }
  for (const name of wanted) if (byName.has(name)) add(byName.get(name))
  return files
}

async function unpackKernel(kernel, scratch) {
  const downloads = join(scratch, 'download')
  mkdirSync(downloads)
  // apt-get writes into its working directory.
  await done('sh', ['-c', 'cd "$1" && apt-get download -qq "$2"', 'sh', downloads, kernel])
  const tree = join(scratch, 'kernel')
  await done('dpkg', ['-x', join(downloads, readdirSync(downloads)[0]), tree])
  const release = readdirSync(join(tree, 'lib/modules'))[0]
  await done('depmod', ['-b', tree, release])
  return { vmlinuz: join(tree, 'boot', `vmlinuz-${release}`), tree, release }
}

function copyModules({ tree, release }, files, root) {
  for (const file of files) {
    const from = join('lib/modules', release, file)
    mkdirSync(dirname(join(root, from)), { recursive: true })
    copyFileSync(join(tree, from), join(root, from))
  }
}

async function makeInitrd(kernel, scratch, file) {
  const root = join(scratch, 'initrd')
  for (const name of ['bin', 'proc', 'sys', 'dev', 'root']) mkdirSync(join(root, name), { recursive: true })
  copyFileSync('/bin/busybox', join(root, 'bin/busybox'))
  const files = moduleFiles(join(kernel.tree, 'lib/modules', kernel.release), INITRD_MODULES)
  copyModules(kernel, files, root)
  writeFileSync(join(root, 'modules'), files.map(name => `/lib/modules/${kernel.release}/${name}\n`).join(''))
  writeFileSync(join(root, 'init'), INITRD_INIT, { mode: 0o755 })
  await done('sh', ['-c', 'cd "$1" && find . | cpio -o -H newc --quiet | gzip > "$2"', 'sh', root, file])
}

async function makeRoot(kernel, scratch, file) {
  const root = join(scratch, 'root')
  const { suite, lines } = await debianSources()
  await done('mmdebstrap', [
    '--quiet',
    '--variant=essential',
    '--aptopt=APT::Install-Recommends "false"',
    '--dpkgopt=path-exclude=/usr/share/doc/*',
    '--dpkgopt=path-exclude=/usr/share/man/*',
    '--dpkgopt=path-exclude=/usr/share/locale/*',
    `--include=${GUEST_PACKAGES.join(',')}`,
    suite,
    root,
    ...lines,
  ])
  const modules = join(kernel.tree, 'lib/modules', kernel.release)
  copyModules(kernel, moduleFiles(modules, ROOT_MODULES), root)
  for (const name of ['modules.builtin', 'modules.builtin.modinfo', 'modules.order'])
    cpSync(join(modules, name), join(root, 'lib/modules', kernel.release, name))
  await done('depmod', ['-b', root, kernel.release])
  writeFileSync(join(root, 'sbin/guest-init'), ROOT_INIT)
  chmodSync(join(root, 'sbin/guest-init'), 0o755)
  await done('mke2fs', ['-q', '-t', 'ext4', '-d', root, file, ROOT_DISK_SIZE])
}

/**
 * The kernel, initrd and root disk of the guest, built from Debian packages the first time (about two minutes) and
 * kept under the user's cache directory by the versions of those packages.
 * @returns {Promise<string>} their directory
 */
export async function provideGuestImage() {
  const { versions, kernel: kernelPackage } = await candidates()
  const recipe = readFileSync(fileURLToPath(import.meta.url))
  const key = createHash('sha256').update(versions.join('\n')).update(recipe).digest('hex').slice(0, 16)
  const cache = join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'holdfast-guest')
  const directory = join(cache, key)
  if (existsSync(directory)) return directory
  mkdirSync(cache, { recursive: true })
  const scratch = mkdtempSync(join(cache, 'building-'))
  try {
    const image = join(scratch, 'image')
    mkdirSync(image)
    const kernel = await unpackKernel(kernelPackage, scratch)
    copyFileSync(kernel.vmlinuz, join(image, 'vmlinuz'))
    await makeInitrd(kernel, scratch, join(image, 'initrd'))
    await makeRoot(kernel, scratch, join(image, 'root.img'))
    writeFileSync(join(image, 'packages'), `${versions.join('\n')}\n`)
    renameSync(image, directory)
  } finally {
    rmSync(scratch, { recursive: true, force: true })
  }
  for (const name of readdirSync(cache)) {
    const ageMs = Date.now() - statSync(join(cache, name)).mtimeMs
    if (name !== key && ageMs > KEEP_MS) rmSync(join(cache, name), { recursive: true })
  }
  return directory
}
