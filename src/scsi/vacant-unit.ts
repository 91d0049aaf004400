import { reportLunsData } from './commands/report-luns.ts'
import type { ScsiCommand } from './scsi-command.ts'
import { encodeSense, Sense, setCheckCondition } from './sense.ts'
import { vacantInquiryData } from './standard-inquiry.ts'
import type { TargetDevice } from './target-device.ts'
import { Attention } from './unit-attention.ts'

const REQUEST_SENSE = 0x03
const INQUIRY = 0x12
const REPORT_LUNS = 0xa0
const EVPD = 0x01
const DESC = 0x01

/** Answers a command for a LUN that has no logical unit. SAM-5 §5.13, SPC-5 §6.7.1, §6.35, §6.39. */
export function answerVacant(command: ScsiCommand, target: TargetDevice): void {
  const { cdb } = command
  const data = vacantData(command, target)
  if (data === null) setCheckCondition(command, false, Sense.logicalUnitNotSupported)
  else {
    const allocationLength =
      cdb[0] === REQUEST_SENSE ? cdb[4]! : cdb[0] === INQUIRY ? cdb.readUInt16BE(3) : cdb.readUInt32BE(6)
    command.dataIn = data.subarray(0, allocationLength)
    command.dataInLength = command.dataIn.length
    if (cdb[0] === REPORT_LUNS) target.clearAttention(command.nexus, Attention.reportedLunsDataHasChanged)
  }
  command.transport.commandDone(command)
}

function vacantData(command: ScsiCommand, target: TargetDevice): Buffer | null {
  const { cdb } = command
  switch (cdb[0]) {
    case INQUIRY:
      return (cdb[1]! & EVPD) === 0 && cdb[2] === 0 ? vacantInquiryData(target.identity) : null
    case REPORT_LUNS:
      return reportLunsData(cdb[2]!, target.luns)
    case REQUEST_SENSE: {
      const sense = Buffer.alloc(32)
      const isDescriptor = (cdb[1]! & DESC) !== 0
      return sense.subarray(0, encodeSense(sense, isDescriptor, Sense.logicalUnitNotSupported))
    }
    default:
      return null
  }
}
