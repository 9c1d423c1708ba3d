import java.util.Map;
import java.util.TreeMap;
import java.util.function.BiConsumer;

/**
 * Write the same seven events through one logger of Java's world: {@code java Formats NAME}. The
 * packages are Debian's (liblog4j2-java, liblogback-java, libslf4j-java), in CLASSPATH.
 */
public class Formats {
  static class Economy {
    static int pay(Map<String, Integer> account) {
      return account.get("balance");
    }
  }

  static Throwable failure() {
    try {
      Economy.pay(new TreeMap<>());
      return null;
    } catch (NullPointerException error) {
      return error;
    }
  }

  static void events(
      BiConsumer<String, Throwable> info,
      BiConsumer<String, Throwable> warn,
      BiConsumer<String, Throwable> error,
      BiConsumer<String, Throwable> fatal) {
    info.accept("ready with 3 shards", null);
    warn.accept("rate limited for 1.5 s", null);
    info.accept("message from <alice>: FATAL: help", null);
    error.accept("pay failed for 42", null);
    error.accept("order failed", failure());
    warn.accept("cache is cold", failure());
    if (fatal != null) {
      fatal.accept("no database", null);
    }
  }

  static void jul() {
    java.util.logging.Logger log = java.util.logging.Logger.getLogger("bot.Main");
    events(
        (t, e) -> log.log(java.util.logging.Level.INFO, t, e),
        (t, e) -> log.log(java.util.logging.Level.WARNING, t, e),
        (t, e) -> log.log(java.util.logging.Level.SEVERE, t, e),
        null);
  }

  static void slf4j() {
    org.slf4j.Logger log = org.slf4j.LoggerFactory.getLogger("bot.Main");
    events(log::info, log::warn, log::error, null);
  }

  static void log4j(String pattern) {
    var builder =
        org.apache.logging.log4j.core.config.builder.api.ConfigurationBuilderFactory
            .newConfigurationBuilder();
    var layout = builder.newLayout("PatternLayout").addAttribute("pattern", pattern);
    builder.add(builder.newAppender("out", "Console").add(layout));
    builder.add(
        builder.newRootLogger(org.apache.logging.log4j.Level.INFO).add(builder.newAppenderRef("out")));
    org.apache.logging.log4j.core.config.Configurator.initialize(builder.build());
    org.apache.logging.log4j.Logger log = org.apache.logging.log4j.LogManager.getLogger("bot.Main");
    events(log::info, log::warn, log::error, log::fatal);
  }

  public static void main(String[] args) {
    switch (args[0]) {
      case "jul" -> jul();
      case "jul_german" -> {
        java.util.Locale.setDefault(java.util.Locale.GERMANY);
        jul();
      }
      case "jul_french" -> {
        java.util.Locale.setDefault(java.util.Locale.FRANCE);
        jul();
      }
      case "jul_japanese" -> {
        java.util.Locale.setDefault(java.util.Locale.JAPAN);
        jul();
      }
      case "logback", "slf4j_simple" -> slf4j();
      case "log4j_default" -> log4j("%d{HH:mm:ss.SSS} [%t] %-5level %logger{36} - %msg%n");
      case "log4j_date" -> log4j("%d %-5p %c{1}:%L - %m%n");
      case "log4j_brackets" -> log4j("[%d{HH:mm:ss}] [%t/%level]: %msg%n");
      case "log4j_spring" -> log4j("%d{yyyy-MM-dd'T'HH:mm:ss.SSSXXX} %5p %pid --- [%15.15t] %-40.40c : %m%n");
      case "uncaught" -> {
        System.out.println("starting");
        Economy.pay(new TreeMap<>());
      }
      default -> throw new IllegalArgumentException(args[0]);
    }
  }
}
