import { USAGE_32 } from '../cdb.ts'
import type { CommandDefinition } from '../command-definition.ts'
import { CommandPhase } from '../scsi-target.ts'
import type { TargetPortGroup } from '../target-port-groups.ts'

/** PARAMETER DATA FORMAT: 001b asks for the extended header, the rest is reserved. */
const DATA_FORMAT = 0xe0
const EXTENDED = 0x20
const FORMAT_TYPE_EXTENDED = 0x10

const AN_SUP = 0x02
const AO_SUP = 0x01
const PORTS_OF_A_GROUP = 1
/** Longest that a takeover by another gateway lasts. SPC-5 §6.36. */
const IMPLICIT_TRANSITION_SECONDS = 30

function encodeGroup({ id, state }: TargetPortGroup): Buffer {
  const descriptor = Buffer.alloc(12)
  descriptor[0] = state
  descriptor[1] = AN_SUP | AO_SUP
  descriptor.writeUInt16BE(id, 2)
  descriptor[7] = PORTS_OF_A_GROUP
  descriptor.writeUInt16BE(id, 10)
  return descriptor
}

/** SPC-5 §6.36. The states change by takeover alone: SET TARGET PORT GROUPS does not exist here. */
export const reportTargetPortGroups: CommandDefinition = {
  name: 'REPORT TARGET PORT GROUPS',
  operationCode: 0xa3,
  serviceAction: 0x0a,
  usage: [0, DATA_FORMAT, 0, 0, 0, 0, ...USAGE_32, 0, 0],
  reservation: 'all',
  withoutMedium: true,
  timeoutSeconds: 10,
  counts: 'other',
  begin: task => {
    const format = task.command.cdb[1]! & DATA_FORMAT
    return format === 0 || format === EXTENDED ? CommandPhase.ready : task.failField(1, 7)
  },
  execute: task => {
    const { unit, nexus } = task.link
    const { cdb } = task.command
    const groups = unit.target.portGroups.groupsOf(unit.volume, nexus.targetPortalGroupTag)
    const isExtended = (cdb[1]! & DATA_FORMAT) === EXTENDED
    const header = Buffer.alloc(isExtended ? 8 : 4)
    if (isExtended) header.set([FORMAT_TYPE_EXTENDED, IMPLICIT_TRANSITION_SECONDS], 4)
    const data = Buffer.concat([header, ...groups.map(encodeGroup)])
    data.writeUInt32BE(data.length - 4, 0)
    task.goodWith(data, cdb.readUInt32BE(6))
  },
}
