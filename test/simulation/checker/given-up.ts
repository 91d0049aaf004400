import { Violation } from '../world/violation.ts'
import type { JudgedPeer, TestedVolume } from './judge.ts'
import type { LayoutView } from './layout-view.ts'

/** I7: the loss generation of a volume rises only when no warm member is there to ask. */
export function givenUpInVain(
  peers: readonly JudgedPeer[],
  volume: TestedVolume,
  { members }: LayoutView,
): Violation | null {
  const mayAnswer = (uuid: string) => {
    const peer = peers.find(one => one.disk.uuid === uuid)
    if (peer === undefined || !peer.isReachable || peer.brick === null) return false
    if (peer.brick.state !== 'warm' || peer.brick.failure !== null) return false
    return peer.brick.volume(volume.uuid) !== null && members.every(set => set.includes(uuid))
  }
  const range = members.findIndex(set => set.some(mayAnswer))
  if (range < 0) return null
  return new Violation('I7', `${volume.name} gave up writes of range ${range} though a warm member answers`)
}
