/** What the device calls itself, in INQUIRY and VPD page 83h: ASCII, cut or padded to its field. */
export interface DeviceIdentity {
  /** T10 VENDOR IDENTIFICATION, up to 8 characters. */
  readonly vendor: string
  /** PRODUCT IDENTIFICATION, up to 16 characters. */
  readonly product: string
  /** PRODUCT REVISION LEVEL, up to 4 characters. */
  readonly revision: string
}

const STANDARD_BYTES = 96
const RMB = 0x80
/** SPC-4; what SPC-5 added is in the version descriptors' reach only. */
const VERSION_SPC_4 = 0x06
const HISUP = 0x10
const RESPONSE_DATA_FORMAT = 0x02
/** TPGS 01b: access states change by implicit asymmetric access alone. SPC-5 §5.18. */
const TPGS_IMPLICIT = 0x10
/** 3PC. SPC-5 §6.7.2. */
const THIRD_PARTY_COPY = 0x08
const CMDQUE = 0x02
/** SAM-5, iSCSI, SPC-4, SBC-3, all without a version claimed. SPC-5 table 151. */
const VERSION_DESCRIPTORS = [0x00a0, 0x0960, 0x0460, 0x04c0] as const
/** PERIPHERAL QUALIFIER 011b, type 1Fh: there can be no logical unit here. */
const NO_UNIT = 0x7f

/** ASCII, padded with spaces; what INQUIRY may not contain becomes a space. SPC-5 §4.3.1. */
export function asciiField(text: string, bytes: number): Buffer {
  const printable = text.replace(/[^\x20-\x7e]/g, ' ')
  return Buffer.from(printable.padEnd(bytes).slice(0, bytes), 'ascii')
}

/** Standard INQUIRY data. SPC-5 §6.7.2. */
export function standardInquiryData(identity: DeviceIdentity, removable: boolean): Buffer {
  const data = Buffer.alloc(STANDARD_BYTES)
  data[1] = removable ? RMB : 0
  data[2] = VERSION_SPC_4
  data[3] = HISUP | RESPONSE_DATA_FORMAT
  data[4] = STANDARD_BYTES - 5
  data[5] = TPGS_IMPLICIT | THIRD_PARTY_COPY
  data[7] = CMDQUE
  asciiField(identity.vendor, 8).copy(data, 8)
  asciiField(identity.product, 16).copy(data, 16)
  asciiField(identity.revision, 4).copy(data, 32)
  VERSION_DESCRIPTORS.forEach((descriptor, index) => {
    data.writeUInt16BE(descriptor, 58 + 2 * index)
  })
  return data
}

/** Standard INQUIRY data of a LUN that has no logical unit. SPC-5 §6.7.1. */
export function vacantInquiryData(identity: DeviceIdentity): Buffer {
  const data = standardInquiryData(identity, false)
  data[0] = NO_UNIT
  return data
}
