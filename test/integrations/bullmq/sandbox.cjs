// A processor file, for a worker that runs its jobs in threads.
module.exports = async () => 'done';
