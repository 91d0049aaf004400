import type { Finding } from '../api/backend.ts'
import { isLoopback, parseHostPort } from '../config/host-port.ts'
import type { TargetRecord } from '../control/records.ts'
import { formatSize } from '../lib/sizes.ts'
import { failure, ok, warning } from './finding.ts'
import type { LocalBricks } from './local-bricks.ts'

/** What the doctor looks at. */
export interface Examined {
  readonly brick: Pick<LocalBricks, 'capacity' | 'counters' | 'failure' | 'scrub' | 'state'>
  readonly portals: readonly string[]
  readonly targets: readonly TargetRecord[]
  readonly stalls: number
  readonly longestStallMs: number
  readonly nativeCalls: boolean
  /** Open files that the process may have; null when unknown. */
  readonly openFilesMax: number | null
  readonly connectionsMax: number
  readonly onTmpfs: boolean
  /** Of the file system that the data directory is on. */
  readonly freeBytes: number
}

/** Descriptors that the daemon itself needs beside one per connection. */
const OWN_FILES = 128

/** Looks at everything that may be wrong or risky; each check answers, good or bad. */
export function examine(examined: Examined): Finding[] {
  return [brickHealth, space, checksums, dataDirectory, systemCalls, openFiles, exposure, eventLoop].map(
    check => check(examined),
  )
}

function brickHealth({ brick }: Examined): Finding {
  if (brick.failure !== null) {
    return failure(
      'brick',
      `it has left service: ${brick.failure.message}; check the disk, then restart the daemon`,
    )
  }
  if (brick.state === 'cold') {
    return warning(
      'brick',
      'the machine restarted since its last write: what was not flushed then may be gone',
    )
  }
  return ok('brick', 'in service')
}

function space({ brick, freeBytes }: Examined): Finding {
  const { usedBytes, limitBytes, warnAtBytes } = brick.capacity
  const says = `${formatSize(usedBytes)} of ${formatSize(limitBytes)} used`
  if (usedBytes >= limitBytes) return failure('space', `${says}: writes fail with "no space"`)
  // Others may fill the file system before the brick reaches its limit.
  if (usedBytes >= (usedBytes + freeBytes) * (warnAtBytes / limitBytes)) {
    const left = formatSize(freeBytes)
    return warning(
      'space',
      `${says}, but the file system has ${left} left: make room on it or delete volumes`,
    )
  }
  return usedBytes >= warnAtBytes
    ? warning('space', `${says}: add capacity or delete volumes`)
    : ok('space', says)
}

function checksums({ brick }: Examined): Finding {
  const bad = brick.scrub?.badBlocks ?? 0
  if (bad > 0) return failure('checksums', `the scrub found ${bad} bad block(s): restore them from a backup`)
  const seen = brick.counters.checksumErrors
  if (seen > 0)
    return warning('checksums', `${seen} block(s) failed their checksum since the start: run a scrub`)
  return ok('checksums', 'no errors seen')
}

function dataDirectory({ onTmpfs }: Examined): Finding {
  return onTmpfs
    ? warning('data directory', 'it is on tmpfs: everything is lost at a reboot')
    : ok('data directory', 'on a file system that keeps its data')
}

function systemCalls({ nativeCalls }: Examined): Finding {
  return nativeCalls
    ? ok('system calls', 'available')
    : warning('system calls', 'koffi does not load: deleted data keeps its space, and reads are slower')
}

function openFiles({ openFilesMax, connectionsMax }: Examined): Finding {
  const needed = connectionsMax + OWN_FILES
  if (openFilesMax === null || openFilesMax >= needed)
    return ok('open files', 'enough for limits.connections')
  const says = `${openFilesMax} are allowed and limits.connections may need ${needed}: raise the limit (ulimit -n)`
  return warning('open files', says)
}

function exposure({ portals, targets }: Examined): Finding {
  const reachable = portals.filter(portal => !isLoopback(parseHostPort(portal)?.host ?? ''))
  const open = targets.filter(({ openToAll, chap }) => openToAll && chap === null)
  if (reachable.length === 0 || open.length === 0)
    return ok('exposure', 'no open target on a reachable portal')
  const names = open.map(({ iqn }) => iqn).join(', ')
  return warning(
    'exposure',
    `whoever reaches ${reachable.join(', ')} can write to ${names}: set an ACL or CHAP`,
  )
}

function eventLoop({ stalls, longestStallMs }: Examined): Finding {
  if (stalls === 0) return ok('event loop', 'no stall over 100 ms')
  return warning('event loop', `${stalls} stall(s) over 100 ms, the longest ${Math.round(longestStallMs)} ms`)
}
