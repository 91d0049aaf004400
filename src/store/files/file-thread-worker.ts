import { parentPort } from 'node:worker_threads'
import { invariant } from '../../lib/invariant.ts'
import { type FileTask, runFileTask } from './file-task.ts'

const port = parentPort
invariant(port !== null, 'a file thread runs in a worker')
port.on('message', (task: FileTask) => port.postMessage(runFileTask(task)))
