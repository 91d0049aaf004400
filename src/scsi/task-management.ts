import type { ItlNexus } from './itl-nexus.ts'
import type { TaskManagementFunction, TaskManagementResponse } from './scsi-target.ts'
import type { TargetDevice } from './target-device.ts'
import { type Task, TaskState } from './task.ts'
import { Attention } from './unit-attention.ts'

type Done = (response: TaskManagementResponse) => void

/** Task management functions. SAM-5 §7; `link` is undefined where the LUN has no logical unit. */
export function manageTasks(
  target: TargetDevice,
  fn: TaskManagementFunction,
  link: ItlNexus | undefined,
  task: Task | null,
  done: Done,
): void {
  const complete = () => done('functionComplete')
  if (fn === 'targetWarmReset') return resetAll(target, Attention.scsiBusReset, complete)
  if (fn === 'targetColdReset') return resetAll(target, Attention.poweredOn, complete)
  if (link === undefined) return done('lunDoesNotExist')
  const { unit } = link
  switch (fn) {
    case 'abortTask':
      if (task === null || task.state === TaskState.idle || task.link !== link) {
        return done('taskDoesNotExist')
      }
      return unit.abortTasks(other => other === task, complete)
    case 'abortTaskSet':
      return unit.abortTasks(other => other.link === link, complete)
    case 'clearTaskSet':
      return clearTaskSet(link, complete)
    case 'logicalUnitReset':
      return unit.reset(Attention.busDeviceReset, complete)
    default:
      // CLEAR ACA: NACA is refused in every CDB, so there never is an auto contingent allegiance to clear.
      return done('functionNotSupported')
  }
}

// SAM-5 §7.4, with TAS=0: the others learn of it by a unit attention.
function clearTaskSet(link: ItlNexus, complete: () => void): void {
  const { unit } = link
  const cleared = new Set<ItlNexus>()
  const matches = (task: Task) => {
    if (task.link !== link) cleared.add(task.link)
    return true
  }
  unit.abortTasks(matches, () => {
    for (const other of cleared) other.establish(Attention.commandsClearedByAnotherInitiator)
    complete()
  })
}

function resetAll(target: TargetDevice, attention: Attention, complete: () => void): void {
  const resets = [...target.units].map(unit => new Promise<void>(resolve => unit.reset(attention, resolve)))
  Promise.all(resets).then(complete, complete)
}
