import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.Set;
import java.util.TreeSet;
import java.util.function.BooleanSupplier;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;

/**
 * Round BROKER range|cooperative|consumer: the whole round of Kafka's own client; in its groups all partitions are given anew, or those alone that
 * move, or the broker says whose they are (KIP-848). Prints one line of JSON.
 */
public class Round {
    static final int COUNT = 2000;
    static String broker;
    static String protocol;
    static final List<String> told = new ArrayList<>();

    static Properties settings(String... pairs) {
        Properties p = new Properties();
        p.put("bootstrap.servers", broker);
        for (String side : List.of("key", "value")) {
            p.put(side + ".serializer", "org.apache.kafka.common.serialization.StringSerializer");
            p.put(side + ".deserializer", "org.apache.kafka.common.serialization.StringDeserializer");
        }
        for (int i = 0; i < pairs.length; i += 2)
            p.put(pairs[i], pairs[i + 1]);
        return p;
    }

    static KafkaConsumer<String, String> consumer(String group, String... pairs) {
        Properties p = settings("group.id", group, "auto.offset.reset", "earliest", "enable.auto.commit", "false",
                                "group.protocol", protocol.equals("consumer") ? "consumer" : "classic");
        if (!protocol.equals("consumer")) // otherwise these are the broker's
            p.putAll(settings("session.timeout.ms", "6000", "heartbeat.interval.ms", "300", "partition.assignment.strategy",
                              "org.apache.kafka.clients.consumer." + (protocol.equals("range") ? "Range" : "CooperativeSticky") + "Assignor"));
        p.putAll(settings(pairs));
        return new KafkaConsumer<>(p);
    }

    static void tell(String name, Object value) {
        told.add("\"" + name + "\": " + value);
    }

    /** Polls all members from this thread until the condition holds. */
    static void until(BooleanSupplier done, Map<KafkaConsumer<String, String>, List<String>> members) {
        long end = System.currentTimeMillis() + 60000;
        while (!done.getAsBoolean()) {
            if (System.currentTimeMillis() > end)
                throw new IllegalStateException("waited in vain; " + told);
            members.forEach((member, seen) -> {
                for (ConsumerRecord<String, String> r : member.poll(Duration.ofMillis(50)))
                    seen.add(r.value());
            });
        }
    }

    static void group() throws Exception {
        try (KafkaProducer<String, String> producer = new KafkaProducer<>(settings("compression.type", "zstd", "linger.ms", "5"))) {
            for (int n = 0; n < COUNT; n++)
                producer.send(new ProducerRecord<>("t", n % 4, "k" + n, Integer.toString(n)));
            producer.flush();
        }
        Map<KafkaConsumer<String, String>, List<String>> members = new HashMap<>();
        KafkaConsumer<String, String> one = consumer("java"), two = consumer("java");
        List<String> seen = new ArrayList<>();
        one.subscribe(List.of("t"));
        members.put(one, seen);
        until(() -> seen.size() >= COUNT, members);
        one.commitSync();
        two.subscribe(List.of("t"));
        members.put(two, seen);
        until(() -> one.assignment().size() == 2 && two.assignment().size() == 2, members);
        tell("consumed", new TreeSet<>(seen).size());
        tell("rebalanced", List.of(one.assignment().size(), two.assignment().size()));
        two.close();
        members.remove(two);
        until(() -> one.assignment().size() == 4, members);
        TopicPartition first = new TopicPartition("t", 0);
        tell("committed", one.committed(Set.of(first)).get(first).offset());
        one.close();
        List<String> again = new ArrayList<>();
        try (KafkaConsumer<String, String> three = consumer("java");
             KafkaProducer<String, String> producer = new KafkaProducer<>(settings())) {
            three.subscribe(List.of("t"));
            producer.send(new ProducerRecord<>("t", 0, "k", "last")).get();
            until(() -> again.contains("last"), Map.of(three, again));
        }
        tell("resumed", again.size() - 1);
    }

    static void times(Admin admin) throws Exception {
        admin.createTopics(List.of(new NewTopic("timed", 1, (short) 1))).all().get();
        try (KafkaProducer<String, String> producer = new KafkaProducer<>(settings())) {
            for (int n = 0; n < 20; n++)
                producer.send(new ProducerRecord<>("timed", 0, 1700000000000L + n * 1000, null, Integer.toString(n))).get();
        }
        List<String> seen = new ArrayList<>();
        TopicPartition timed = new TopicPartition("timed", 0);
        try (KafkaConsumer<String, String> reader = consumer("times")) {
            long at = reader.offsetsForTimes(Map.of(timed, 1700000011500L)).get(timed).offset();
            reader.assign(List.of(timed));
            reader.seek(timed, at);
            until(() -> seen.size() >= 8, Map.of(reader, seen));
            tell("at", at);
            tell("after", seen.size());
        }
    }

    static void transactions(Admin admin) throws Exception {
        admin.createTopics(List.of(new NewTopic("tx", 1, (short) 1))).all().get();
        TopicPartition part = new TopicPartition("t", 1);
        try (KafkaProducer<String, String> producer = new KafkaProducer<>(settings("transactional.id", "java-1"));
             KafkaConsumer<String, String> member = consumer("movers")) {
            producer.initTransactions();
            for (String value : List.of("kept", "never", "kept too")) {
                producer.beginTransaction();
                producer.send(new ProducerRecord<>("tx", 0, null, value)).get();
                producer.sendOffsetsToTransaction(Map.of(part, new OffsetAndMetadata(value.length())), member.groupMetadata());
                if (value.equals("never"))
                    producer.abortTransaction();
                else
                    producer.commitTransaction();
            }
            tell("moved", member.committed(Set.of(part)).get(part).offset());
        }
        List<String> seen = new ArrayList<>();
        try (KafkaConsumer<String, String> reader = consumer("tx", "isolation.level", "read_committed")) {
            reader.subscribe(List.of("tx"));
            until(() -> seen.contains("kept too"), Map.of(reader, seen));
        }
        tell("transactions", "\"" + String.join(",", seen) + "\"");
    }

    public static void main(String[] args) throws Exception {
        broker = args[0];
        protocol = args[1];
        try (Admin admin = Admin.create(settings())) {
            admin.createTopics(List.of(new NewTopic("t", 4, (short) 1))).all().get();
            group();
            times(admin);
            transactions(admin);
        }
        System.out.println("{" + String.join(", ", told) + "}");
    }
}
