// A processor file whose jobs end only when they are told to and their data allows it.
const { writeFileSync } = require('node:fs');

module.exports = async ({ data }, _token, signal) => {
  writeFileSync(data.file, String(process.pid));
  await new Promise((resolve, reject) => {
    setInterval(() => {}, 1_000);
    if (data.ms !== undefined) setTimeout(resolve, data.ms);
    if (data.obeys) signal.addEventListener('abort', () => reject(new Error(String(signal.reason))));
  });
};
