<?php
// Write the seven events through Monolog (Debian's php-monolog) or error_log.
function pay(array $account): int { return strlen($account['balance']->amount()); }
function failure(): Throwable { try { pay(['balance' => null]); } catch (Error $error) { return $error; } }
if ($argv[1] === 'monolog') {
    require 'Monolog/autoload.php';
    $handler = new Monolog\Handler\StreamHandler('php://stdout', Monolog\Logger::INFO);
    $formatter = new Monolog\Formatter\LineFormatter(null, null, true, true);
    $formatter->includeStacktraces(true);
    $handler->setFormatter($formatter);
    $log = new Monolog\Logger('bot', [$handler]);
    $log->info('ready with 3 shards');
    $log->warning('rate limited for 1.5 s');
    $log->info('message from <alice>: FATAL: help');
    $log->error('pay failed for 42');
    $log->error('order failed', ['exception' => failure()]);
    $log->warning('cache is cold', ['exception' => failure()]);
    $log->critical('no database');
} else {
    error_log('ready with 3 shards');
    echo $undefined;
    pay(['balance' => null]);
}
