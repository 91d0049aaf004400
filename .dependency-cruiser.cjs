/** Who may import whom; ARCHITECTURE.md explains the rooms. Types count like values. */

const room = name => `^src/${name}/`
const rooms = (...names) => `^src/(${names.join('|')})/`

/** A room that may use only itself, the rooms listed and single files of others. */
function onlyUses(name, allowed, files = []) {
  return {
    name: `${name}-uses-only`,
    comment: `src/${name} uses ${allowed.join(', ')} and nothing else of ours`,
    severity: 'error',
    from: { path: room(name), pathNot: '\\.test\\.ts$' },
    to: { path: '^src/', pathNot: [rooms(name, ...allowed), ...files] },
  }
}

module.exports = {
  forbidden: [
    {
      name: 'no-cycles',
      comment:
        'of imports that exist when the program runs; two classes of a room may name each other as types',
      severity: 'error',
      from: {},
      to: { circular: true, viaOnly: { dependencyTypesNot: ['type-only'] } },
    },
    {
      name: 'no-cycles-of-rooms',
      comment: 'between rooms types count too',
      severity: 'error',
      from: { path: '^src/([^/]+)/' },
      to: { circular: true, via: { path: '^src/', pathNot: '^src/$1/' } },
    },
    {
      name: 'no-unresolved',
      severity: 'error',
      from: {},
      to: { couldNotResolve: true },
    },
    {
      name: 'product-never-imports-tests',
      severity: 'error',
      from: { path: '^src/', pathNot: '\\.test\\.ts$' },
      to: { path: ['^test/', '^bench/', '\\.test\\.ts$'] },
    },
    {
      name: 'dev-dependencies-stay-out',
      severity: 'error',
      from: { path: '^src/', pathNot: '\\.test\\.ts$' },
      to: { dependencyTypes: ['npm-dev', 'npm-no-pkg', 'npm-unknown'], dependencyTypesNot: ['type-only'] },
    },
    onlyUses('lib', ['errors']),
    onlyUses('errors', ['block']),
    onlyUses('block', ['errors', 'lib']),
    onlyUses('store', ['block', 'errors', 'lib']),
    onlyUses('metadata', ['errors', 'lib']),
    onlyUses('volume', ['block', 'errors', 'lib', 'store']),
    onlyUses('scsi', ['block', 'errors', 'lib', 'volume']),
    onlyUses('iscsi-target', ['errors', 'lib', 'net', 'scsi']),
    onlyUses('net', ['errors', 'lib']),
    onlyUses('nbd', ['block', 'errors', 'lib', 'net', 'volume']),
    onlyUses('config', ['errors', 'lib']),
    onlyUses('cluster', ['control', 'errors', 'lib', 'metadata', 'replication']),
    // Of control it knows the records that it shares with it, of config how addresses are written.
    onlyUses(
      'replication',
      ['block', 'errors', 'lib', 'metadata', 'net', 'store', 'volume'],
      ['^src/control/(layout|in-sync)\\.ts$', '^src/config/host-port\\.ts$'],
    ),
    // Of scsi it knows how access states are asked for.
    onlyUses(
      'gateway',
      ['block', 'errors', 'lib', 'replication', 'volume'],
      ['^src/scsi/target-port-groups\\.ts$'],
    ),
    {
      name: 'sockets-stay-in-the-wire',
      comment:
        'the simulator drives everything else of replication and the gateway with a network of its own',
      severity: 'error',
      from: { path: rooms('replication', 'gateway'), pathNot: ['^src/replication/wire/', '\\.test\\.ts$'] },
      to: {
        path: [
          '^src/net/',
          '^src/replication/wire/',
          '^(node:)?(net|tls|fs|fs/promises|dgram|worker_threads)$',
        ],
      },
    },
    {
      name: 'iscsi-target-knows-scsi-by-its-seam',
      comment: 'a command and its answer, the unit table and the nexus: nothing inside scsi',
      severity: 'error',
      from: { path: room('iscsi-target'), pathNot: '\\.test\\.ts$' },
      to: { path: room('scsi'), pathNot: '^src/scsi/(scsi-command|scsi-target|nexus)\\.ts$' },
    },
    {
      name: 'protocols-are-strangers',
      severity: 'error',
      from: { path: rooms('iscsi-target', 'scsi') },
      to: { path: room('nbd') },
    },
    {
      name: 'nbd-knows-no-iscsi',
      severity: 'error',
      from: { path: room('nbd') },
      to: { path: rooms('iscsi-target', 'scsi') },
    },
    {
      name: 'nothing-imports-the-top',
      comment: 'cli and daemon put the rooms together; api serves control',
      severity: 'error',
      from: { path: '^src/', pathNot: [rooms('cli', 'daemon'), '\\.test\\.ts$'] },
      to: { path: rooms('cli', 'daemon') },
    },
    {
      name: 'cli-reaches-the-daemon-by-its-door',
      comment: 'one-shot commands speak REST; only serve and dev start a daemon',
      severity: 'error',
      from: { path: room('cli') },
      to: { path: rooms('store', 'scsi', 'iscsi-target', 'nbd', 'net', 'metadata', 'volume') },
    },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    tsConfig: { fileName: 'tsconfig.json' },
    tsPreCompilationDeps: true,
    detectProcessBuiltinModuleCalls: true,
  },
}
