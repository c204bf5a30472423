// What moodring hears, in a Unity scene, straight from its ZeroMQ endpoint. Put the packages NetMQ and AsyncIO (NuGet) into Assets/Plugins,
// and this component on any object; other scripts read Valence, Arousal, State and so on in their Update.
using System;
using System.Collections.Concurrent;
using System.Threading;
using AsyncIO;
using NetMQ;
using NetMQ.Sockets;
using UnityEngine;

public class MoodringSubscriber : MonoBehaviour
{
    const int MostWaiting = 100;
    const float DeadAfter = 3f; // seconds: a tracker sends a status at least once a second, in silence too

    [Serializable]
    class Message // JsonUtility leaves what is null in the JSON at 0: valence and arousal in silence, which State tells
    {
        public string stream = "";
        public string state = "";
        public float valence = 0f;
        public float arousal = 0f;
        public float loudness = 0f;
    }

    [Tooltip("Where moodring publishes")] public string endpoint = "tcp://127.0.0.1:5588";
    [Tooltip("The name of one stream; empty for all of them")] public string stream = "";
    [Tooltip("Seconds for two thirds of the way to a new mood; 0 for none")] public float smoothing = 0.5f;

    public float Valence { get; private set; } // -1 unpleasant ... +1 pleasant; in silence as it was
    public float Arousal { get; private set; } // -1 calm ... +1 excited
    public float Loudness { get; private set; } // dBFS
    public string State { get; private set; } = "dead"; // warming, tracking, silence, or dead: no tracker
    public string Stream { get; private set; } = "";

    readonly ConcurrentQueue<(string topic, string body)> waiting = new ConcurrentQueue<(string, string)>();
    Thread receiver;
    volatile bool ending;
    float heard = float.NegativeInfinity;
    float valence, arousal;

    void OnEnable()
    {
        ForceDotNet.Force();
        ending = false;
        receiver = new Thread(Receive) { IsBackground = true, Name = "moodring" };
        receiver.Start();
    }

    void OnDisable()
    {
        ending = true;
        receiver.Join();
        NetMQConfig.Cleanup(false);
    }

    void Receive()
    {
        using (var socket = new SubscriberSocket())
        {
            string topic = stream == "" ? "" : stream + "/";
            socket.Connect(endpoint); // again and again, by itself
            socket.Subscribe("emotion/" + topic);
            socket.Subscribe("status/" + topic);
            NetMQMessage parts = null;
            while (!ending)
            {
                if (!socket.TryReceiveMultipartMessage(TimeSpan.FromMilliseconds(100), ref parts, 2) || parts.FrameCount != 2) continue;
                waiting.Enqueue((parts[0].ConvertToString(), parts[1].ConvertToString()));
                while (waiting.Count > MostWaiting) waiting.TryDequeue(out _); // the scene stands still
            }
        }
    }

    void Update()
    {
        while (waiting.TryDequeue(out var message)) Take(message.topic, JsonUtility.FromJson<Message>(message.body));
        if (Time.realtimeSinceStartup - heard > DeadAfter) State = "dead";
        float part = smoothing > 0f ? 1f - Mathf.Exp(-Time.deltaTime / smoothing) : 1f;
        Valence += part * (valence - Valence);
        Arousal += part * (arousal - Arousal);
    }

    void Take(string topic, Message message)
    {
        heard = Time.realtimeSinceStartup;
        if (!topic.StartsWith("emotion/", StringComparison.Ordinal)) return;
        Stream = message.stream;
        State = message.state;
        Loudness = message.loudness;
        if (message.state == "silence") return;
        valence = message.valence;
        arousal = message.arousal;
    }
}
