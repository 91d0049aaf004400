import { provideDebianPackages } from './lib/debian-packages.mjs'
import { build, provideNodeModules } from './lib/prepare.mjs'
import { runVisible } from './lib/run.mjs'

// `npm run bench:replicated`: builds, then measures three replicas beside Ceph and GlusterFS; see bench/README.md.
const args = process.argv.slice(2)
const needed = ['gcc', 'libc6-dev', 'libiscsi-dev', 'fio', 'etcd-server', 'libisal2']
const others = [
  ...['tgt', 'tgt-rbd', 'qemu-utils', 'qemu-block-extra'],
  ...['ceph-mon', 'ceph-mgr', 'ceph-osd', 'ceph-common', 'glusterfs-server', 'glusterfs-client'],
]
if (!args.includes('--help')) {
  const { reason } = await provideDebianPackages(needed)
  if (reason !== null) {
    console.error(`bench:replicated: ${reason}`)
    process.exit(1)
  }
  const { reason: withoutOthers } = await provideDebianPackages(others)
  if (withoutOthers !== null) console.error(`bench:replicated: ${withoutOthers}`)
  await provideNodeModules()
  await build()
}
process.exitCode = await runVisible(process.execPath, [
  '--import',
  'tsx',
  'bench/replicated/main.ts',
  ...args,
])
