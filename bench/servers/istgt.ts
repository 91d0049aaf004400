import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { freePort } from '../../test/lib/free-port.ts'
import { processTree } from '../machine.ts'
import { versionOf } from '../programs.ts'
import { VOLUME_BYTES } from './bench-server.ts'
import { killProcess, makeVolumeFile, startListening } from './file-server.ts'
import type { ServerKind } from './server-kind.ts'

const NODE_BASE = 'iqn.2026-11.io.holdfast.bench'
const TARGET = 'istgt'
/** istgt's sample allows 16; the curve of sessions wants more. */
const SESSIONS_MAX = 300

/** The sample of Debian's package, with one unit and without authentication. */
function configuration(directory: string, port: number, file: string): string {
  return `[Global]
  NodeBase "${NODE_BASE}"
  PidFile ${join(directory, 'istgt.pid')}
  AuthFile ${join(directory, 'auth.conf')}
  MediaDirectory ${directory}
  LogFacility "local7"
  Timeout 30
  NopInInterval 20
  DiscoveryAuthMethod None
  MaxSessions ${SESSIONS_MAX}
  MaxConnections 4
  MaxR2T 32
  MaxOutstandingR2T 16
  DefaultTime2Wait 2
  DefaultTime2Retain 60
  FirstBurstLength 262144
  MaxBurstLength 1048576
  MaxRecvDataSegmentLength 262144
  InitialR2T Yes
  ImmediateData Yes
  DataPDUInOrder Yes
  DataSequenceInOrder Yes
  ErrorRecoveryLevel 0
[UnitControl]
[PortalGroup1]
  Portal DA1 127.0.0.1:${port}
[InitiatorGroup1]
  InitiatorName "ALL"
  Netmask 127.0.0.0/8
[LogicalUnit1]
  TargetName ${TARGET}
  Mapping PortalGroup1 InitiatorGroup1
  AuthMethod None
  UseDigest Auto
  UnitType Disk
  QueueDepth 32
  LUN0 Storage ${file} ${VOLUME_BYTES / 2 ** 20}MB
`
}

/** Debian's istgt over a file, as its sample configures it. */
export const ISTGT: ServerKind = {
  name: 'istgt',
  programs: ['istgt'],
  packages: ['istgt'],
  async start(place) {
    const file = makeVolumeFile(place.directory)
    const port = await freePort()
    const path = join(place.directory, 'istgt.conf')
    writeFileSync(path, configuration(place.directory, port, file))
    writeFileSync(join(place.directory, 'auth.conf'), '', { mode: 0o600 })
    const argv = ['istgt', '-D', '-c', path]
    const child = await startListening(place, argv, port)
    const pid = child.pid as number
    return {
      name: 'istgt',
      version: versionOf('istgt', '-V'),
      argv: ['istgt', '-D', '-c', 'istgt.conf'],
      settings: { configuration: "the package's sample", queueDepth: 32, volumeBytes: VOLUME_BYTES },
      url: `iscsi://127.0.0.1:${port}/${NODE_BASE}:${TARGET}/0`,
      get pids() {
        return processTree(pid)
      },
      async [Symbol.asyncDispose]() {
        killProcess(pid)
      },
    }
  },
}
