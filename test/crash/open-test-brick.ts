import type { Brick } from '../../src/store/brick.ts'
import { runFileTask } from '../../src/store/files/file-task.ts'
import { realFiles, type StoreFiles } from '../../src/store/files/store-files.ts'
import { JOURNAL_BYTES_MIN } from '../../src/store/journal/journal-format.ts'
import { openBrick } from '../../src/store/open-brick.ts'

/** File threads that are none: thousands of images are opened, and nobody waits for their disk. */
const threadlessFiles: StoreFiles = {
  ...realFiles,
  startThread: () => ({
    run: async task => runFileTask(task),
    close: async () => undefined,
  }),
}

export function openTestBrick(directory: string, options: { threads: boolean }): Promise<Brick> {
  return openBrick({
    directory,
    clusterId: 'crash-test',
    create: true,
    journalBytes: JOURNAL_BYTES_MIN,
    files: options.threads ? realFiles : threadlessFiles,
  })
}
