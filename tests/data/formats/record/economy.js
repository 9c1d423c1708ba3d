"use strict";
// What fails in the bot whose loggers are recorded.
exports.pay = function pay() {
  const account = {};
  return account.balance.amount;
};
