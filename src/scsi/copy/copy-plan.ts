import type { VolumeHandle } from '../../volume/volume.ts'
import type { ItlNexus } from '../itl-nexus.ts'
import { Sense, type SenseCode } from '../sense.ts'
import { designatesUnit } from '../vpd-pages.ts'
import { CSCD_ID_SELF } from './copy-limits.ts'
import type { CopyDevice, CopyRequest, CopySegment } from './copy-parameters.ts'

/** One segment in bytes, with the handles of its ends. */
export interface CopyRange {
  readonly source: VolumeHandle
  readonly destination: VolumeHandle
  readonly sourceBytes: number
  readonly destinationBytes: number
  readonly lengthBytes: number
  /** Both ends are one volume. */
  readonly isWithinVolume: boolean
}

export type PlannedSegment = { readonly range: CopyRange } | { readonly refused: SenseCode }

/**
 * Finds the ends of a segment among the logical units that the initiator is logged in to. Whether it may read
 * the one and write the other is enforced by their handles. SPC-5 §6.4.5, §6.4.7.6.
 */
export function planSegment(link: ItlNexus, request: CopyRequest, segment: CopySegment): PlannedSegment {
  const source = endOf(link, request.devices, segment.source)
  const destination = endOf(link, request.devices, segment.destination)
  if (source === null || destination === null) return { refused: Sense.unreachableCopyTarget }
  const { unit } = destination
  if (unit.isReadOnly) return { refused: Sense.writeProtected }
  if (unit.modes.softwareWriteProtect) return { refused: Sense.logicalUnitSoftwareWriteProtected }
  const from = source.unit.volume
  const to = unit.volume
  const lengthBytes = segment.blocks * (segment.countsDestination ? to : from).blockSizeBytes
  const isInexact = lengthBytes % from.blockSizeBytes !== 0 || lengthBytes % to.blockSizeBytes !== 0
  if (isInexact) return { refused: Sense.unexpectedInexactSegment }
  const sourceBytes = segment.sourceLba * from.blockSizeBytes
  const destinationBytes = segment.destinationLba * to.blockSizeBytes
  if (sourceBytes + lengthBytes > from.sizeBytes || destinationBytes + lengthBytes > to.sizeBytes) {
    return { refused: Sense.copyAborted }
  }
  const handles = { source: source.handle, destination: destination.handle }
  return { range: { ...handles, sourceBytes, destinationBytes, lengthBytes, isWithinVolume: from === to } }
}

function endOf(link: ItlNexus, devices: readonly CopyDevice[], index: number): ItlNexus | null {
  if (index === CSCD_ID_SELF) return link
  const device = devices[index]
  if (device === undefined) return null
  for (const other of candidates(link)) {
    const { unit } = other
    if (!designatesUnit(unit, device.designatorType, device.designator) || !unit.isMediumLoaded) continue
    return unit.volume.blockSizeBytes === device.blockSizeBytes ? other : null
  }
  return null
}

function* candidates(link: ItlNexus): Generator<ItlNexus> {
  yield link
  yield* link.unit.target.copyPartners(link.nexus)
}
