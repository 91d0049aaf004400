import { TaskAttribute } from './scsi-command.ts'
import { type Task, TaskState } from './task.ts'

/**
 * The commands of one logical unit that have begun and not ended, of all nexuses together (TST=000b), oldest
 * first, and the ordering that task attributes ask for. SAM-5 §8.
 */
export class TaskSet {
  #first: Task | null = null
  #last: Task | null = null
  /** ORDERED and HEAD OF QUEUE tasks in the set: while there are none, nothing ever waits. */
  #barriers = 0
  #held = 0
  #isDispatching = false

  enter(task: Task): void {
    task.previous = this.#last
    task.next = null
    if (this.#last === null) this.#first = task
    else this.#last.next = task
    this.#last = task
    task.state = TaskState.entered
    if (isBarrier(task)) this.#barriers += 1
  }

  leave(task: Task): void {
    if (task.previous === null) this.#first = task.next
    else task.previous.next = task.next
    if (task.next === null) this.#last = task.previous
    else task.next.previous = task.previous
    task.next = null
    task.previous = null
    if (isBarrier(task)) this.#barriers -= 1
  }

  /** Runs the task now, or as soon as the attributes of the others allow it. */
  run(task: Task): void {
    if (this.#barriers === 0 || this.#mayRun(task)) {
      task.state = TaskState.running
      task.definition.execute(task)
    } else {
      task.state = TaskState.held
      this.#held += 1
      task.retainData()
    }
  }

  /** A task ended: runs those that waited for it. */
  dispatch(): void {
    if (this.#held === 0 || this.#isDispatching) return
    this.#isDispatching = true
    for (let task = this.#nextReleased(); task !== null; task = this.#nextReleased()) {
      task.state = TaskState.running
      task.definition.execute(task)
    }
    this.#isDispatching = false
  }

  /** As dispatch(), for a task that ends inside of a call that has to be over before others run. */
  dispatchSoon(): void {
    if (this.#held > 0) queueMicrotask(() => this.dispatch())
  }

  find(matches: (task: Task) => boolean): Task[] {
    const found: Task[] = []
    for (let task = this.#first; task !== null; task = task.next) if (matches(task)) found.push(task)
    return found
  }

  // SAM-5 §8.6: ORDERED waits for all older ones, SIMPLE for older ORDERED and HEAD OF QUEUE.
  #mayRun(task: Task): boolean {
    const { attribute } = task.command
    if (attribute === TaskAttribute.headOfQueue) return true
    if (attribute === TaskAttribute.ordered) return task === this.#first
    for (let other = this.#first; other !== task && other !== null; other = other.next) {
      if (isBarrier(other)) return false
    }
    return true
  }

  #nextReleased(): Task | null {
    let held = 0
    let released: Task | null = null
    for (let task = this.#first; task !== null; task = task.next) {
      if (task.state !== TaskState.held) continue
      if (released === null && this.#mayRun(task)) released = task
      else held += 1
    }
    this.#held = held
    return released
  }
}

function isBarrier(task: Task): boolean {
  return (
    task.command.attribute === TaskAttribute.ordered || task.command.attribute === TaskAttribute.headOfQueue
  )
}
