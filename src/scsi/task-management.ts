import type { ItlNexus } from './itl-nexus.ts'
import type { Nexus } from './nexus.ts'
import type { TaskManagementFunction, TaskManagementResponse } from './scsi-target.ts'
import type { TargetDevice } from './target-device.ts'
import { type Task, TaskState } from './task.ts'
import { Attention } from './unit-attention.ts'

type Done = (response: TaskManagementResponse) => void

/** Task management functions. SAM-5 §7; `link` is undefined where the LUN has no logical unit. */
export function manageTasks(
  target: TargetDevice,
  fn: TaskManagementFunction,
  nexus: Nexus,
  link: ItlNexus | undefined,
  task: Task | null,
  done: Done,
): void {
  const complete = () => done('functionComplete')
  if (fn === 'targetWarmReset') return resetAll(target, Attention.scsiBusReset, nexus, complete)
  if (fn === 'targetColdReset') return resetAll(target, Attention.poweredOn, nexus, complete)
  if (link === undefined) return done('lunDoesNotExist')
  const { unit } = link
  switch (fn) {
    case 'abortTask':
      if (task === null || task.state === TaskState.idle || task.link !== link) {
        return done('taskDoesNotExist')
      }
      return unit.abortTasks(other => other === task, complete, nexus)
    case 'abortTaskSet':
      return unit.abortTasks(other => other.link === link, complete, nexus)
    case 'clearTaskSet':
      return clearTaskSet(link, complete)
    case 'logicalUnitReset':
      return unit.reset(Attention.busDeviceReset, nexus, complete)
    default:
      // CLEAR ACA: NACA is refused in every CDB, so there never is an auto contingent allegiance to clear.
      return done('functionNotSupported')
  }
}

// SAM-5 §7.4. With TAS=0 the others learn of it by a unit attention, otherwise by the status of their commands.
function clearTaskSet(link: ItlNexus, complete: () => void): void {
  const { unit, nexus } = link
  const tells = unit.modes.taskAbortedStatus
  const cleared = new Set<ItlNexus>()
  const matches = (task: Task) => {
    if (!tells && task.link !== link) cleared.add(task.link)
    return true
  }
  const tellAndComplete = () => {
    for (const other of cleared) other.establish(Attention.commandsClearedByAnotherInitiator)
    complete()
  }
  unit.abortTasks(matches, tellAndComplete, nexus)
}

function resetAll(target: TargetDevice, attention: Attention, nexus: Nexus, complete: () => void): void {
  const resets = [...target.units].map(
    unit => new Promise<void>(resolve => unit.reset(attention, nexus, resolve)),
  )
  Promise.all(resets).then(complete, complete)
}
