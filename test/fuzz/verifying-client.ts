import { Opcode } from '../../src/iscsi-target/wire/opcodes.ts'
import { below, type Random } from '../crash/random.ts'
import { type FakeServer, pattern, read10, write10 } from '../iscsi/serve-fake.ts'
import type { IscsiInitiator } from '../lib/iscsi-initiator.ts'

const LUN = 1
const BLOCK = 512
const BLOCKS = 4096
const BLOCKS_AT_ONCE = 16
/** A whole write or read beside any attack; a stalled target is what this finds. */
const PATIENCE_MS = 15_000

/** A client that behaves: it writes, reads back what the model says, and pings, on one session all the time. */
export class VerifyingClient {
  readonly #initiator: IscsiInitiator
  readonly #random: Random
  readonly #model = Buffer.alloc(BLOCKS * BLOCK)
  rounds = 0

  private constructor(initiator: IscsiInitiator, random: Random) {
    this.#initiator = initiator
    this.#random = random
  }

  static async login(server: FakeServer, random: Random): Promise<VerifyingClient> {
    const keys = { HeaderDigest: 'CRC32C', DataDigest: 'CRC32C', ImmediateData: 'Yes' }
    const initiator = await server.login({ initiator: 'iqn.2026-11.test:well-behaved', keys })
    return new VerifyingClient(initiator, random)
  }

  /** Rejects when anything is not as it should be. */
  async round(): Promise<void> {
    const blocks = 1 + below(this.#random, BLOCKS_AT_ONCE)
    const block = below(this.#random, BLOCKS - blocks)
    const data = pattern(blocks * BLOCK, below(this.#random, 256))
    this.#initiator.command(write10(block, blocks), { write: data.length, data, lun: LUN })
    const answer = await this.#initiator.receive(PATIENCE_MS)
    if (answer.opcode !== Opcode.scsiResponse || answer.bhs[3] !== 0) {
      throw new Error(`a good write was answered with opcode ${answer.opcode}, status ${answer.bhs[3]}`)
    }
    data.copy(this.#model, block * BLOCK)
    await this.#check(below(this.#random, BLOCKS - BLOCKS_AT_ONCE), BLOCKS_AT_ONCE)
    this.rounds += 1
  }

  async #check(block: number, blocks: number): Promise<void> {
    const lengthBytes = blocks * BLOCK
    this.#initiator.command(read10(block, blocks), { read: lengthBytes, lun: LUN })
    const found = Buffer.alloc(lengthBytes)
    for (let received = 0; received < lengthBytes; ) {
      const { opcode, bhs, data } = await this.#initiator.receive(PATIENCE_MS)
      if (opcode !== Opcode.dataIn) throw new Error(`a good read was answered with opcode ${opcode}`)
      data.copy(found, bhs.readUInt32BE(40))
      received += data.length
    }
    const from = block * BLOCK
    if (!found.equals(this.#model.subarray(from, from + lengthBytes))) {
      throw new Error(`blocks ${block} to ${block + blocks} are not what was written`)
    }
  }
}
